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

/* Locks live far behind any real file offset, so that they can never meet data. */
#define LOCK_LIFECYCLE (UINT64_C(1) << 48)
#define LOCK_TRIES     2000
#define LOCK_RETRY_NS  1000000u

static bool name_is_legal(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 63 || name[0] == '.')
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}

int jbi_segment_path(const char *name, char ret_path[JBI_PATH_BYTES], jb_error *err)
{
    const char *dir = getenv("JIMBOT_SHM_DIR");
    int n;

    ret_path[0] = '\0';
    if (!name)
        return 0;
    if (strchr(name, '/'))
        n = snprintf(ret_path, JBI_PATH_BYTES, "%s", name);
    else if (name_is_legal(name))
        n = snprintf(ret_path, JBI_PATH_BYTES, "%s/jimbot-%u-%s", dir && dir[0] ? dir : "/dev/shm",
                     jbi_os_uid(), name);
    else
        return jbi_error_set(
            err, JB_EINVAL, "'%.64s' is not a bus name: letters, digits, '-', '_', '.', at most 63",
            name);
    if (n >= JBI_PATH_BYTES)
        return jbi_error_set(err, JB_EINVAL, "the path of the bus is longer than %d bytes",
                             JBI_PATH_BYTES - 1);
    return 0;
}

static int os_failure(int os_errno, const char *verb, const char *path, jb_error *err)
{
    int code = JB_ESYS;

    if (os_errno == ENOENT)
        code = JB_ENOENT;
    else if (os_errno == EACCES || os_errno == EPERM)
        code = JB_EPERM;
    else if (os_errno == EEXIST)
        code = JB_EEXIST;
    else if (os_errno == ELOOP)
        code = JB_ELAYOUT;
    return jbi_error_os(err, code, os_errno, "cannot %s %s", verb,
                        path[0] ? path : "an anonymous bus");
}

/* The fingerprint of the layout, mixed with the params, so that a damaged param is found as surely
 * as a foreign build. */
static uint64_t seal(uint64_t fingerprint, const uint64_t params[JBI_SEGMENT_PARAMS])
{
    for (int i = 0; i < JBI_SEGMENT_PARAMS; i++)
        fingerprint = (fingerprint ^ params[i]) * UINT64_C(1099511628211);
    return fingerprint;
}

static void header_fill(struct jbi_segment_header *header, uint64_t fingerprint,
                        const uint64_t params[JBI_SEGMENT_PARAMS], uint64_t size_bytes)
{
    memcpy(header->magic, JBI_SEGMENT_MAGIC, sizeof header->magic);
    header->byte_order = JBI_SEGMENT_BYTE_ORDER;
    header->layout_version = JBI_LAYOUT_VERSION;
    header->fingerprint = seal(fingerprint, params);
    header->size_bytes = size_bytes;
    memcpy(header->params, params, sizeof header->params);
    header->created_ns = jbi_os_monotonic_ns();
    header->utc_offset_ns = jbi_os_utc_ns() - header->created_ns;
    header->creator_pid = jbi_os_pid();
    header->creator_start = jbi_os_process_start(header->creator_pid);
}

int jbi_segment_create(const char *path, uint32_t mode, uint64_t fingerprint,
                       const uint64_t params[JBI_SEGMENT_PARAMS], jbi_segment_size_fn size_fn,
                       struct jbi_segment *ret_segment, jb_error *err)
{
    struct jbi_segment made = {.fd = -1};
    void *base = NULL;
    int rc;

    made.size_bytes = size_fn(params);
    if (!made.size_bytes)
        return jbi_error_set(err, JB_EINVAL, "a size of the bus is out of range");
    snprintf(made.path, sizeof made.path, "%s", path);
    rc = jbi_os_file_create(path[0] ? path : NULL, mode, &made.fd);
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
    memcpy(made.params, params, sizeof made.params);
    header_fill(jbi_segment_header(&made), fingerprint, params, made.size_bytes);
    *ret_segment = made;
    return 0;
}

int jbi_segment_publish(struct jbi_segment *segment, jb_error *err)
{
    int rc;

    /* Pairs with the acquire in header_check(): who sees the word sees the whole segment. */
    atomic_store_explicit(&jbi_segment_header(segment)->ready, JBI_SEGMENT_READY,
                          memory_order_release);
    if (!segment->path[0])
        return 0;
    rc = jbi_os_file_publish(segment->fd, segment->path);
    return rc ? os_failure(rc, "create", segment->path, err) : 0;
}

/* Checks a private copy of the header, so that no later write by another process can change what
 * was decided. */
static int header_check(const struct jbi_segment_header *header, uint64_t file_bytes,
                        uint64_t fingerprint, jbi_segment_size_fn size_fn, const char *path,
                        jb_error *err)
{
    if (memcmp(header->magic, JBI_SEGMENT_MAGIC, sizeof header->magic) != 0)
        return jbi_error_set(err, JB_ELAYOUT, "%s is not a jimbot bus", path);
    if (header->byte_order != JBI_SEGMENT_BYTE_ORDER)
        return jbi_error_set(err, JB_ELAYOUT, "%s was made on a machine of another byte order",
                             path);
    if (header->layout_version != JBI_LAYOUT_VERSION)
        return jbi_error_set(err, JB_ELAYOUT, "%s has layout version %llu, this library speaks %d",
                             path, (unsigned long long)header->layout_version, JBI_LAYOUT_VERSION);
    if (header->fingerprint != seal(fingerprint, header->params))
        return jbi_error_set(err, JB_ELAYOUT, "%s was made by an incompatible build of the library",
                             path);
    if (header->ready != JBI_SEGMENT_READY)
        return jbi_error_set(err, JB_ELAYOUT, "%s is unfinished", path);
    if (header->size_bytes != file_bytes || size_fn(header->params) != file_bytes)
        return jbi_error_set(err, JB_ELAYOUT, "%s has %llu bytes, which its own sizes contradict",
                             path, (unsigned long long)file_bytes);
    return 0;
}

int jbi_segment_attach(const char *path, uint64_t fingerprint, jbi_segment_size_fn size_fn,
                       struct jbi_segment *ret_segment, jb_error *err)
{
    struct jbi_segment found = {.fd = -1};
    struct jbi_segment_header header;
    size_t len = 0;
    void *base = NULL;
    int rc;

    snprintf(found.path, sizeof found.path, "%s", path);
    rc = jbi_os_file_open(path, &found.fd);
    if (rc)
        return os_failure(rc, "open", path, err);
    rc = jbi_os_file_identify(found.fd, &found.id);
    if (rc) {
        rc = os_failure(rc, "examine", path, err);
        goto out_close;
    }
    if (!found.id.is_regular) {
        rc = jbi_error_set(err, JB_ELAYOUT, "%s is not a regular file", path);
        goto out_close;
    }
    rc = jbi_os_file_read(found.fd, &header, sizeof header, &len);
    if (rc) {
        rc = os_failure(rc, "read", path, err);
        goto out_close;
    }
    if (len != sizeof header) {
        rc = jbi_error_set(err, JB_ELAYOUT, "%s is too short to be a jimbot bus", path);
        goto out_close;
    }
    rc = header_check(&header, found.id.size_bytes, fingerprint, size_fn, path, err);
    if (rc)
        goto out_close;
    found.size_bytes = found.id.size_bytes;
    memcpy(found.params, header.params, sizeof found.params);
    rc = jbi_os_map(found.fd, found.size_bytes, &base);
    if (rc) {
        rc = os_failure(rc, "map", path, err);
        goto out_close;
    }
    found.base = base;
    *ret_segment = found;
    return 0;

out_close:
    jbi_os_file_close(found.fd);
    return rc;
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
        rc = jbi_os_lock_try(segment->fd, LOCK_LIFECYCLE);
        if (rc == EAGAIN)
            jbi_os_sleep_ns(LOCK_RETRY_NS);
    }
    if (rc == EAGAIN)
        return jbi_error_set(err, JB_ETIMEDOUT,
                             "another process holds %s in the middle of attaching", segment->path);
    return rc ? os_failure(rc, "lock", segment->path, err) : 0;
}

void jbi_segment_unlock(const struct jbi_segment *segment)
{
    jbi_os_lock_release(segment->fd, LOCK_LIFECYCLE);
}
