/*
 * segment.h: a piece of memory that several processes share, as a file: made whole, found by name,
 * refused when it is not ours, over when nobody has it open any more.
 *
 * Invariant: a name never points to an unfinished segment, because the file gets its name last. A
 * name is taken from a segment only by who holds that segment's lock.
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
    struct jbi_segment_header header; /* as checked; the file's own may change under us */
    int fd;
    struct jbi_os_file_id id;
    char path[JBI_PATH_BYTES]; /* "" for an anonymous one */
};

/* How many bytes a segment with these params has; 0 when a param is out of range. */
typedef uint64_t (*jbi_segment_size_fn)(const uint64_t params[JBI_SEGMENT_PARAMS]);

/* The file a bus name stands for; "" for NULL. JB_EINVAL when it is not a legal name. */
int jbi_segment_path(const char *name, char ret_path[JBI_PATH_BYTES], jb_error *err);

/* The same for segments of another kind, whose files have names of their own. */
int jbi_segment_path_of(const char *family, const char *name, char ret_path[JBI_PATH_BYTES],
                        jb_error *err);

/* True for a name, which stands for a file of this user; false for a path. */
bool jbi_segment_is_name(const char *name);

struct jbi_segment_plan {
    uint64_t params[JBI_SEGMENT_PARAMS];
    uint64_t fingerprint;
    jbi_segment_size_fn size_fn;
    uint32_t flags; /* enum jbi_segment_flags */
    uint32_t mode;
};

/* Make a segment of zeroes with a header that is not ready yet. It has no name before
 * jbi_segment_publish(). */
int jbi_segment_create(const char *path, const struct jbi_segment_plan *plan,
                       struct jbi_segment *ret_segment, jb_error *err);

/* Mark it ready and give it its name. JB_EEXIST when another process was faster. */
int jbi_segment_publish(struct jbi_segment *segment, jb_error *err);

/* Open a file that is a segment of some version, not mapped yet. Nothing more than that is checked:
 * JB_ELAYOUT when it is none. */
int jbi_segment_find(const char *path, bool is_to_look, struct jbi_segment *ret_segment,
                     jb_error *err);

/* Is what was found a segment of this version, whole? JB_ELAYOUT, with the reason. */
int jbi_segment_verify(const struct jbi_segment *segment, uint64_t fingerprint,
                       jbi_segment_size_fn size_fn, jb_error *err);

/* Map one that was found and verified. */
int jbi_segment_map(struct jbi_segment *segment, jb_error *err);

/* True while the name still leads to this very file. */
bool jbi_segment_is_named(const struct jbi_segment *segment);

/* True when nobody has it open (but perhaps the caller), and it was not to be kept or is from
 * before the machine was started anew. The caller holds jbi_segment_lock(), so that nobody comes
 * in meanwhile. */
bool jbi_segment_is_over(const struct jbi_segment *segment);

/* True when somebody else has it open. */
bool jbi_segment_is_in_use(const struct jbi_segment *segment);

/* Take the name away. The caller holds jbi_segment_lock() of what the name leads to, if that is a
 * segment. */
int jbi_segment_remove(const char *path, jb_error *err);

/* The same for who has nothing of it open: anything that a name of ours leads to may go (is_name);
 * under a path, a segment alone. JB_ENOENT when there is none. */
int jbi_segment_unlink(const char *path, bool is_name, jb_error *err);

void jbi_segment_close(struct jbi_segment *segment);

/* One lock that serialises coming and going; held for microseconds. JB_ETIMEDOUT after a generous
 * while; `try` does not wait. */
int jbi_segment_lock(const struct jbi_segment *segment, jb_error *err);
bool jbi_segment_try_lock(const struct jbi_segment *segment);
void jbi_segment_unlock(const struct jbi_segment *segment);

static inline struct jbi_segment_header *jbi_segment_header(const struct jbi_segment *segment)
{
    return (struct jbi_segment_header *)(void *)segment->base;
}

#endif
