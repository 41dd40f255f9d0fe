/*
 * segment.c: see segment.h. The order of making one is: unnamed file, all blocks allocated,
 * contents, ready word, name. Whoever dies before the last step leaves nothing behind.
 */
#include "shm/segment.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_TRIES    2000
#define LOCK_RETRY_NS 1000000u

/* More peers than any version of the layout has places for. */
#define LOCK_PEERS_SPAN 65536

static bool name_is_legal(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 63 || name[0] == '.')
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}

bool jbi_segment_is_name(const char *name)
{
    return !strchr(name, '/');
}

int jbi_segment_path_of(const char *family, const char *name, char ret_path[JBI_PATH_BYTES],
                        jb_error *err)
{
    const char *dir = getenv("JIMBOT_SHM_DIR");
    int n;

    ret_path[0] = '\0';
    if (!name)
        return 0;
    if (!jbi_segment_is_name(name))
        n = snprintf(ret_path, JBI_PATH_BYTES, "%s", name);
    else if (name_is_legal(name))
        n = snprintf(ret_path, JBI_PATH_BYTES, "%s/%s-%u-%s", dir && dir[0] ? dir : "/dev/shm",
                     family, jbi_os_uid(), name);
    else
        return jbi_error_set(
            err, JB_EINVAL, "'%.64s' is not a bus name: letters, digits, '-', '_', '.', at most 63",
            name);
    if (n >= JBI_PATH_BYTES)
        return jbi_error_set(err, JB_EINVAL, "the path of the bus is longer than %d bytes",
                             JBI_PATH_BYTES - 1);
    return 0;
}

int jbi_segment_path(const char *name, char ret_path[JBI_PATH_BYTES], jb_error *err)
{
    return jbi_segment_path_of("jimbot", name, ret_path, err);
}

static int os_failure(int os_errno, const char *verb, const char *path, jb_error *err)
{
    int code = JB_ESYS;

    if (os_errno == ENOENT || os_errno == ENOTDIR)
        code = JB_ENOENT;
    else if (os_errno == EACCES || os_errno == EPERM)
        code = JB_EPERM;
    else if (os_errno == EEXIST)
        code = JB_EEXIST;
    else if (os_errno == ELOOP || os_errno == EISDIR || os_errno == ENXIO)
        code = JB_ELAYOUT; /* a link, a folder, a socket */
    return jbi_error_os(err, code, os_errno, "cannot %s %s", verb,
                        path[0] ? path : "an anonymous bus");
}

/* The fingerprint of the layout, mixed with every word of the header but itself and `ready`, so
 * that a damaged word is found as surely as a foreign build. */
static uint64_t seal(uint64_t fingerprint, const struct jbi_segment_header *header)
{
    uint64_t words[offsetof(struct jbi_segment_header, ready) / sizeof(uint64_t)];

    memcpy(words, header, sizeof words);
    words[offsetof(struct jbi_segment_header, fingerprint) / sizeof(uint64_t)] = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        fingerprint = (fingerprint ^ words[i]) * UINT64_C(1099511628211);
    return fingerprint;
}

static void header_fill(struct jbi_segment_header *header, const struct jbi_segment_plan *plan,
                        uint64_t size_bytes)
{
    memcpy(header->magic, JBI_SEGMENT_MAGIC, sizeof header->magic);
    header->byte_order = JBI_SEGMENT_BYTE_ORDER;
    header->layout_version = JBI_LAYOUT_VERSION;
    header->flags = plan->flags;
    header->creator_pid = jbi_os_pid();
    jbi_os_boot_id(header->boot_id);
    header->size_bytes = size_bytes;
    memcpy(header->params, plan->params, sizeof header->params);
    header->created_ns = jbi_os_monotonic_ns();
    header->utc_offset_ns = jbi_os_utc_ns() - header->created_ns;
    header->creator_start = jbi_os_process_start(header->creator_pid);
    header->fingerprint = seal(plan->fingerprint, header);
}

int jbi_segment_create(const char *path, const struct jbi_segment_plan *plan,
                       struct jbi_segment *ret_segment, jb_error *err)
{
    struct jbi_segment made = {.fd = -1};
    void *base = NULL;
    int rc;

    made.size_bytes = plan->size_fn(plan->params);
    if (!made.size_bytes)
        return jbi_error_set(err, JB_EINVAL, "a size of the bus is out of range");
    snprintf(made.path, sizeof made.path, "%s", path);
    rc = jbi_os_file_create(path[0] ? path : NULL, plan->mode, &made.fd);
    if (rc)
        return os_failure(rc, "create", path, err);
    rc = jbi_os_file_allocate(made.fd, made.size_bytes);
    if (!rc)
        rc = jbi_os_file_identify(made.fd, &made.id);
    if (!rc)
        rc = jbi_os_map(made.fd, made.size_bytes, &base);
    if (rc) {
        jbi_os_file_close(made.fd);
        return os_failure(rc, "find room for", path, err);
    }
    made.base = base;
    header_fill(&made.header, plan, made.size_bytes);
    memcpy(jbi_segment_header(&made), &made.header, sizeof made.header);
    *ret_segment = made;
    return 0;
}

int jbi_segment_publish(struct jbi_segment *segment, jb_error *err)
{
    int rc;

    /* Read through the file by jbi_segment_find(): who sees the word sees the whole segment. */
    atomic_store_explicit(&jbi_segment_header(segment)->ready, JBI_SEGMENT_READY,
                          memory_order_release);
    if (!segment->path[0])
        return 0;
    rc = jbi_os_file_publish(segment->fd, segment->path);
    return rc ? os_failure(rc, "create", segment->path, err) : 0;
}

/* Fills in what can be known of a file that is open. */
static int examine(struct jbi_segment *found, jb_error *err)
{
    size_t len = 0;
    int rc = jbi_os_file_identify(found->fd, &found->id);

    if (rc)
        return os_failure(rc, "examine", found->path, err);
    if (!found->id.is_regular)
        return jbi_error_set(err, JB_ELAYOUT, "%s is not a regular file", found->path);
    rc = jbi_os_file_read(found->fd, &found->header, sizeof found->header, &len);
    if (rc)
        return os_failure(rc, "read", found->path, err);
    if (len != sizeof found->header)
        return jbi_error_set(err, JB_ELAYOUT, "%s is too short to be a jimbot bus", found->path);
    if (memcmp(found->header.magic, JBI_SEGMENT_MAGIC, sizeof found->header.magic) != 0)
        return jbi_error_set(err, JB_ELAYOUT, "%s is not a jimbot bus", found->path);
    if (found->header.byte_order != JBI_SEGMENT_BYTE_ORDER)
        return jbi_error_set(err, JB_ELAYOUT, "%s was made on a machine of another byte order",
                             found->path);
    found->size_bytes = found->id.size_bytes;
    return 0;
}

int jbi_segment_find(const char *path, bool is_to_look, struct jbi_segment *ret_segment,
                     jb_error *err)
{
    struct jbi_segment found = {.fd = -1};
    int rc;

    snprintf(found.path, sizeof found.path, "%s", path);
    rc = is_to_look ? jbi_os_file_open_to_look(path, &found.fd) : jbi_os_file_open(path, &found.fd);
    if (rc)
        return os_failure(rc, "open", path, err);
    rc = examine(&found, err);
    if (rc) {
        jbi_os_file_close(found.fd);
        return rc;
    }
    *ret_segment = found;
    return 0;
}

int jbi_segment_verify(const struct jbi_segment *segment, uint64_t fingerprint,
                       jbi_segment_size_fn size_fn, jb_error *err)
{
    /* A private copy, so that no later write by another process can change what was decided. */
    const struct jbi_segment_header *header = &segment->header;
    const char *path = segment->path;

    if (header->layout_version != JBI_LAYOUT_VERSION)
        return jbi_error_set(err, JB_ELAYOUT, "%s has layout version %llu, this library speaks %d",
                             path, (unsigned long long)header->layout_version, JBI_LAYOUT_VERSION);
    if (header->fingerprint != seal(fingerprint, header))
        return jbi_error_set(err, JB_ELAYOUT,
                             "%s was made by an incompatible build of the library, or is damaged",
                             path);
    if (header->ready != JBI_SEGMENT_READY)
        return jbi_error_set(err, JB_ELAYOUT, "%s is unfinished", path);
    if (header->size_bytes != segment->size_bytes || size_fn(header->params) != segment->size_bytes)
        return jbi_error_set(err, JB_ELAYOUT, "%s has %llu bytes, which its own sizes contradict",
                             path, (unsigned long long)segment->size_bytes);
    /* Mapping it would allocate them all, or end in SIGBUS where there is no room. */
    if (segment->id.has_holes)
        return jbi_error_set(err, JB_ELAYOUT, "%s has holes, which no writer of ours leaves", path);
    return 0;
}

int jbi_segment_map(struct jbi_segment *segment, jb_error *err)
{
    void *base = NULL;
    int rc = jbi_os_map(segment->fd, segment->size_bytes, &base);

    if (rc)
        return os_failure(rc, "map", segment->path, err);
    segment->base = base;
    return 0;
}

bool jbi_segment_is_named(const struct jbi_segment *segment)
{
    struct jbi_os_file_id now;

    if (!segment->path[0])
        return true;
    if (jbi_os_path_identify(segment->path, &now))
        return false;
    return now.device == segment->id.device && now.inode == segment->id.inode;
}

bool jbi_segment_is_in_use(const struct jbi_segment *segment)
{
    return jbi_os_lock_is_any_held(segment->fd, JBI_LOCK_PEERS, LOCK_PEERS_SPAN);
}

/* Memory is lost with the power, a file on a disk may be half there, and its times mean nothing on
 * the clock of another boot. */
static bool is_of_another_boot(const struct jbi_segment_header *header)
{
    uint64_t now[2];

    jbi_os_boot_id(now);
    return (now[0] | now[1]) && (header->boot_id[0] | header->boot_id[1]) &&
           memcmp(now, header->boot_id, sizeof now) != 0;
}

bool jbi_segment_is_over(const struct jbi_segment *segment)
{
    bool is_kept = (segment->header.flags & JBI_SEGMENT_KEEP) != 0;

    return !jbi_segment_is_in_use(segment) && (!is_kept || is_of_another_boot(&segment->header));
}

int jbi_segment_remove(const char *path, jb_error *err)
{
    int rc = jbi_os_file_unlink(path);

    return rc ? os_failure(rc, "remove", path, err) : 0;
}

void jbi_segment_close(struct jbi_segment *segment)
{
    jbi_os_unmap(segment->base, segment->size_bytes);
    jbi_os_file_close(segment->fd);
    segment->base = NULL;
    segment->fd = -1;
}

int jbi_segment_lock(const struct jbi_segment *segment, jb_error *err)
{
    int rc = EAGAIN;

    for (int i = 0; i < LOCK_TRIES && rc == EAGAIN; i++) {
        rc = jbi_os_lock_try(segment->fd, JBI_LOCK_LIFECYCLE);
        if (rc == EAGAIN)
            jbi_os_sleep_ns(LOCK_RETRY_NS);
    }
    if (rc == EAGAIN)
        return jbi_error_set(err, JB_ETIMEDOUT,
                             "another process holds %s in the middle of attaching", segment->path);
    return rc ? os_failure(rc, "lock", segment->path, err) : 0;
}

bool jbi_segment_try_lock(const struct jbi_segment *segment)
{
    return jbi_os_lock_try(segment->fd, JBI_LOCK_LIFECYCLE) == 0;
}

void jbi_segment_unlock(const struct jbi_segment *segment)
{
    jbi_os_lock_release(segment->fd, JBI_LOCK_LIFECYCLE);
}

int jbi_segment_unlink(const char *path, bool is_name, jb_error *err)
{
    struct jbi_segment found;
    int rc = jbi_segment_find(path, false, &found, err);

    if (rc)
        return rc != JB_ENOENT && is_name ? jbi_segment_remove(path, err) : rc;
    rc = jbi_segment_lock(&found, err);
    if (!rc) {
        rc = jbi_segment_is_named(&found)
                 ? jbi_segment_remove(path, err)
                 : jbi_error_set(err, JB_ENOENT, "%s was removed meanwhile", path);
    }
    jbi_segment_close(&found);
    return rc;
}
