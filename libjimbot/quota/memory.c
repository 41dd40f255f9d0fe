/*
 * memory.c: what a process really uses, and whether it keeps to what it was granted.
 *
 * A control group that has no memory file (the uppermost one, or one without that controller) says
 * nothing, and is no failure: the process's own figures are always there.
 */
#include "quota/memory.h"

#include "base/error.h"
#include "base/os.h"
#include "quota/proc_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 1024, TEXT_BYTES = 8192 };

static int read_text(const char *path, char text[TEXT_BYTES], size_t *ret_len)
{
    int fd;
    int rc = jbi_os_file_open_to_look(path, &fd);

    if (rc)
        return rc;
    rc = jbi_os_file_read(fd, text, TEXT_BYTES, ret_len);
    jbi_os_file_close(fd);
    return rc;
}

static uint64_t read_amount(const char *group, const char *name)
{
    char path[PATH_BYTES + 32], text[TEXT_BYTES];
    uint64_t amount;
    size_t len;

    snprintf(path, sizeof path, "%s/%s", group, name);
    if (read_text(path, text, &len) || !jbi_cgroup_amount_parse(text, len, &amount))
        return UINT64_MAX;
    return amount;
}

static void read_group(const char *root, uint32_t pid, jb_memory_reading *r)
{
    char path[PATH_BYTES], group[PATH_BYTES / 2], text[TEXT_BYTES];
    size_t len;

    r->cgroup_bytes = r->cgroup_limit_bytes = UINT64_MAX;
    snprintf(path, sizeof path, "%s/proc/%u/cgroup", root, pid);
    if (read_text(path, text, &len) || !jbi_proc_cgroup_parse(text, len, group, sizeof group))
        return;
    if ((size_t)snprintf(path, sizeof path, "%s/sys/fs/cgroup%s", root, group) >= sizeof path)
        return;
    r->cgroup_bytes = read_amount(path, "memory.current");
    if (r->cgroup_bytes != UINT64_MAX)
        r->cgroup_limit_bytes = read_amount(path, "memory.max");
}

static int fail(int os_errno, uint32_t pid, jb_error *err)
{
    int code = JB_ESYS;

    if (os_errno == ENOENT || os_errno == ESRCH)
        code = JB_ENOENT;
    if (os_errno == EACCES || os_errno == EPERM)
        code = JB_EPERM;
    return jbi_error_os(err, code, os_errno, "the memory of process %u", pid);
}

int jbi_memory_read_below(const char *root, uint32_t pid, jb_memory_reading *ret_reading,
                          jb_error *err)
{
    jb_memory_reading r = {.size = sizeof r};
    char path[PATH_BYTES], text[TEXT_BYTES];
    struct jbi_proc_status status;
    size_t len;
    int rc;

    if (!ret_reading || ret_reading->size < sizeof(uint32_t) || ret_reading->size > sizeof r)
        return jbi_error_set(err, JB_EINVAL, "jb_memory_reading.size is not set");
    if (pid == 0)
        pid = jbi_os_pid();
    r.time_ns = jbi_os_monotonic_ns();
    r.start = jbi_os_process_start(pid);
    snprintf(path, sizeof path, "%s/proc/%u/status", root, pid);
    rc = read_text(path, text, &len);
    if (rc)
        return fail(rc, pid, err);
    if (!jbi_proc_status_parse(text, len, &status))
        return jbi_error_set(err, JB_EPROTO, "%s is not what a kernel writes", path);
    r.parent_pid = status.parent_pid;
    r.rss_bytes = status.rss_bytes;
    r.shared_bytes = status.shared_bytes;
    r.swap_bytes = status.swap_bytes;
    read_group(root, pid, &r);
    r.size = ret_reading->size;
    memcpy(ret_reading, &r, r.size);
    return 0;
}

int jb_memory_read(uint32_t pid, jb_memory_reading *ret_reading, jb_error *err)
{
    return jbi_memory_read_below("", pid, ret_reading, err);
}

/* Parts of what was granted, without the product that could wrap. */
static uint64_t part(uint64_t whole, uint32_t of, uint32_t parts)
{
    return whole / parts * of + whole % parts * of / parts;
}

int jb_memory_judge(uint64_t granted_bytes, uint64_t used_bytes, uint32_t before,
                    uint64_t *ret_shrink_bytes)
{
    uint64_t warn = part(granted_bytes, 4, 5);
    int state = JB_MEMORY_FINE;

    if (before > JB_MEMORY_OVER)
        return JB_EINVAL;
    if (used_bytes > granted_bytes ||
        (before == JB_MEMORY_OVER && used_bytes >= part(granted_bytes, 9, 10)))
        state = JB_MEMORY_OVER;
    else if (used_bytes >= warn ||
             (before != JB_MEMORY_FINE && used_bytes >= part(granted_bytes, 3, 4)))
        state = JB_MEMORY_WARN;
    if (used_bytes == 0)
        state = JB_MEMORY_FINE;
    if (ret_shrink_bytes)
        *ret_shrink_bytes = state == JB_MEMORY_OVER ? used_bytes - warn : 0;
    return state;
}
