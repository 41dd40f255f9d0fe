/*
 * segment.c: see segment.h.
 */
#include "segment.h"

char segment_dir[64];
char segment_path[160];

void segment_dir_make(void)
{
    snprintf(segment_dir, sizeof segment_dir, "/dev/shm/test-segment-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(segment_dir));
    ck_assert_int_eq(setenv("JIMBOT_SHM_DIR", segment_dir, 1), 0);
    snprintf(segment_path, sizeof segment_path, "%s/jimbot-%u-b", segment_dir, (unsigned)getuid());
}

static int each_file(bool is_to_remove)
{
    DIR *dir = opendir(segment_dir);
    struct dirent *entry;
    char path[512];
    int n = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        n++;
        snprintf(path, sizeof path, "%s/%s", segment_dir, entry->d_name);
        if (is_to_remove && unlink(path))
            rmdir(path);
    }
    closedir(dir);
    return n;
}

void segment_dir_drop(void)
{
    each_file(true);
    rmdir(segment_dir);
}

int segment_count(void)
{
    return each_file(false);
}

jb_bus *segment_open(segment_open_fn how, uint32_t flags, int expected)
{
    jb_bus_opts opts;
    jb_bus *bus = NULL;
    jb_error err;
    int rc;

    jb_error_init(&err);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.max_topics = 64;
    opts.max_subs = 8;
    opts.max_peers = 12;
    opts.flags = flags;
    rc = how("b", &opts, &bus, &err);
    ck_assert_msg(rc == expected, "%s, not %s: %s", jb_err_name(rc), jb_err_name(expected),
                  err.msg);
    ck_assert(rc == 0 || (err.code == rc && err.msg[0]));
    return bus;
}

void segment_crash(uint32_t flags, uint64_t n_events)
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        jb_bus *bus = segment_open(jb_bus_open, flags, 0);
        jb_event_head head = {.type = JB_EVENT_CUSTOM};
        jb_claim claim;

        subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_OLDEST);
        for (uint64_t i = 1; i <= n_events; i++)
            publish_number(bus, "crash.x", i, 8);
        head.topic_id = topic_of(bus, "crash.x");
        jb_bus_claim(bus, &head, 100, &claim);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, &status, 0);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int segment_child(int (*fn)(void))
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(fn());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
