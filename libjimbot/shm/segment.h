/*
 * segment.h: a piece of memory that several processes share, as a file: made whole, found by name,
 * refused when it is not ours.
 *
 * Invariant: a name never points to an unfinished segment, because the file gets its name last.
 */
#ifndef JBI_SHM_SEGMENT_H
#define JBI_SHM_SEGMENT_H

#include "base/os.h"
#include "jimbot/base.h"
#include "shm/segment_layout.h"

enum { JBI_PATH_BYTES = 512 };

struct jbi_segment {
    uint8_t *base;
    uint64_t size_bytes;
    uint64_t params[JBI_SEGMENT_PARAMS]; /* as checked; the header's own may change under us */
    int fd;
    struct jbi_os_file_id id;
    char path[JBI_PATH_BYTES]; /* "" for an anonymous one */
};

/* How many bytes a segment with these params has; 0 when a param is out of range. */
typedef uint64_t (*jbi_segment_size_fn)(const uint64_t params[JBI_SEGMENT_PARAMS]);

/* The file a bus name stands for; "" for NULL. JB_EINVAL when it is not a legal name. */
int jbi_segment_path(const char *name, char ret_path[JBI_PATH_BYTES], jb_error *err);

/* Make a segment of zeroes with a header that is not ready yet. It has no name before
 * jbi_segment_publish(). */
int jbi_segment_create(const char *path, uint32_t mode, uint64_t fingerprint,
                       const uint64_t params[JBI_SEGMENT_PARAMS], jbi_segment_size_fn size_fn,
                       struct jbi_segment *ret_segment, jb_error *err);

/* Mark it ready and give it its name. JB_EEXIST when another process was faster. */
int jbi_segment_publish(struct jbi_segment *segment, jb_error *err);

/* Map a segment that exists. Nothing of the file is believed before it is checked. */
int jbi_segment_attach(const char *path, uint64_t fingerprint, jbi_segment_size_fn size_fn,
                       struct jbi_segment *ret_segment, jb_error *err);

/* True while the name still leads to this very file. */
bool jbi_segment_is_named(const struct jbi_segment *segment);

void jbi_segment_close(struct jbi_segment *segment);

/* One lock that serialises attaching and leaving; held for microseconds. JB_ETIMEDOUT after a
 * generous while. */
int jbi_segment_lock(const struct jbi_segment *segment, jb_error *err);
void jbi_segment_unlock(const struct jbi_segment *segment);

static inline struct jbi_segment_header *jbi_segment_header(const struct jbi_segment *segment)
{
    return (struct jbi_segment_header *)(void *)segment->base;
}

#endif
