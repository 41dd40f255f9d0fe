/*
 * Segments: made whole, found by name, refused when foreign; peers known to the kernel; fork.
 */
#include "bus/bus_internal.h"
#include "support/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[64];
static char path[JBI_PATH_BYTES];

static void fresh_name(void)
{
    snprintf(name, sizeof name, "test-shm-%d", (int)getpid());
    ck_assert_int_eq(jbi_segment_path(name, path, NULL), 0);
    unlink(path);
}

static void remove_name(void)
{
    unlink(path);
}

static jb_bus *open_small(int (*how)(const char *, const jb_bus_opts *, jb_bus **, jb_error *),
                          int expected)
{
    jb_bus_opts opts;
    jb_bus *bus = NULL;
    jb_error err;
    int rc;

    jb_error_init(&err);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.max_peers = 2;
    rc = how(name, &opts, &bus, &err);
    ck_assert_msg(rc == expected, "%d, not %d: %s", rc, expected, err.msg);
    ck_assert(expected == 0 || err.msg[0]);
    return bus;
}

START_TEST(test_create_attach_and_the_last_one_out_removes_it)
{
    struct stat st;
    jb_bus *first, *second;

    open_small(jb_bus_attach, JB_ENOENT);
    first = open_small(jb_bus_create, 0);
    open_small(jb_bus_create, JB_EEXIST);
    second = open_small(jb_bus_attach, 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    jb_bus_close(first);
    ck_assert_int_eq(stat(path, &st), 0);
    jb_bus_close(second);
    ck_assert_int_ne(stat(path, &st), 0);
}
END_TEST

START_TEST(test_keep_leaves_the_segment_and_unlink_removes_it)
{
    jb_bus_opts opts;
    jb_bus *bus;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.flags = JB_BUS_KEEP;
    ck_assert_int_eq(jb_bus_open(name, &opts, &bus, NULL), 0);
    ck_assert_int_eq(publish_number(bus, "a.b", 7, 8), 0);
    jb_bus_close(bus);
    bus = open_small(jb_bus_attach, 0);
    jb_bus_close(bus);
    ck_assert_int_eq(jb_bus_unlink(name, NULL), 0);
    ck_assert_int_eq(jb_bus_unlink(name, NULL), JB_ENOENT);
}
END_TEST

START_TEST(test_illegal_names_are_refused)
{
    static const char *const bad[] = {"", ".hidden", "with space", "semi;colon", "line\nend"};
    jb_error err;
    jb_bus *bus;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(jb_bus_open(bad[i], NULL, &bus, &err), JB_EINVAL);
        ck_assert_uint_gt(strlen(err.msg), 10);
    }
    ck_assert_int_eq(jb_bus_attach(NULL, NULL, &bus, &err), JB_EINVAL);
    ck_assert_int_eq(jb_bus_open("/no/such/folder/bus", NULL, &bus, &err), JB_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.msg, "/no/such/folder/bus"));
}
END_TEST

START_TEST(test_sizes_out_of_range_are_refused)
{
    jb_bus_opts opts;
    jb_bus *bus;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 100000;
    ck_assert_int_eq(jb_bus_open(name, &opts, &bus, NULL), JB_EINVAL);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.max_peers = 255;
    ck_assert_int_eq(jb_bus_open(name, &opts, &bus, NULL), JB_EINVAL);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.flags = 0x80;
    ck_assert_int_eq(jb_bus_open(name, &opts, &bus, NULL), JB_EINVAL);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.size = 4096;
    ck_assert_int_eq(jb_bus_open(name, &opts, &bus, NULL), JB_EINVAL);
}
END_TEST

static void write_file(const void *bytes, size_t len, off_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, bytes, len), (int)len);
    if (size)
        ck_assert_int_eq(ftruncate(fd, size), 0);
    close(fd);
}

START_TEST(test_foreign_files_are_refused_with_the_reason)
{
    char junk[8192];

    memset(junk, 'x', sizeof junk);
    write_file("", 0, 0);
    open_small(jb_bus_open, JB_ELAYOUT);
    write_file("short", 5, 0);
    open_small(jb_bus_open, JB_ELAYOUT);
    write_file(junk, sizeof junk, 0);
    open_small(jb_bus_open, JB_ELAYOUT);
}
END_TEST

/* Each flip of one header byte must be refused, or be a field that attaching does not depend on. */
START_TEST(test_a_damaged_header_is_refused)
{
    struct jbi_segment_header header;
    size_t guarded = offsetof(struct jbi_segment_header, ready);
    jb_bus *bus = open_small(jb_bus_create, 0);
    int fd = open(path, O_RDWR);

    ck_assert_int_eq((int)pread(fd, &header, sizeof header, 0), (int)sizeof header);
    for (size_t i = 0; i < guarded; i++) {
        uint8_t byte = ((uint8_t *)&header)[i], flipped = byte ^ 1;

        ck_assert_int_eq((int)pwrite(fd, &flipped, 1, (off_t)i), 1);
        open_small(jb_bus_attach, JB_ELAYOUT);
        ck_assert_int_eq((int)pwrite(fd, &byte, 1, (off_t)i), 1);
    }
    header.ready = 0;
    ck_assert_int_eq((int)pwrite(fd, &header, sizeof header, 0), (int)sizeof header);
    open_small(jb_bus_attach, JB_ELAYOUT);
    close(fd);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_links_and_folders_are_refused)
{
    char target[JBI_PATH_BYTES + 8];
    jb_bus *bus = open_small(jb_bus_create, 0);

    snprintf(target, sizeof target, "%s.target", path);
    ck_assert_int_eq(rename(path, target), 0);
    ck_assert_int_eq(symlink(target, path), 0);
    open_small(jb_bus_attach, JB_ELAYOUT);
    unlink(path);
    unlink(target);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_all_places_taken_is_a_limit_and_a_dead_peer_frees_its_own)
{
    jb_bus *bus = open_small(jb_bus_create, 0);
    jb_bus *second;
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        second = open_small(jb_bus_attach, 0);
        _exit(second ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    second = open_small(jb_bus_attach, 0);
    open_small(jb_bus_attach, JB_ELIMIT);
    jb_bus_close(second);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_closing_aborts_open_claims)
{
    jb_bus *bus = open_small(jb_bus_create, 0);
    jb_bus *second = open_small(jb_bus_attach, 0);
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event_head head = {.topic_id = topic_of(second, "a.b"), .type = JB_EVENT_CUSTOM};
    jb_bus_stats stats = {.size = sizeof stats};
    jb_claim claim;
    jb_event event;

    ck_assert_int_eq(jb_bus_claim(second, &head, 100, &claim), 0);
    jb_bus_close(second);
    ck_assert_int_eq(publish_number(bus, "a.b", 5, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 5);
    jb_bus_get_stats(bus, &stats);
    ck_assert_uint_eq(stats.n_aborted, 1);
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_a_handle_does_not_survive_fork)
{
    jb_bus *bus = open_small(jb_bus_create, 0);
    jb_sub *sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    jb_event event;
    int status;
    pid_t pid;

    ck_assert_int_eq(publish_number(bus, "a", 1, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    pid = fork();
    if (pid == 0) {
        jb_event_head head = {.topic_id = 1, .type = JB_EVENT_CUSTOM};
        jb_bus_stats stats = {.size = sizeof stats};
        jb_sub_stats sub_stats = {.size = sizeof sub_stats};
        const char *topic;
        uint32_t id;
        int bad = 0;

        bad += jb_bus_publish(bus, &head, NULL, 0) != JB_ESTATE;
        bad += jb_bus_topic(bus, "a", 1, &id) != JB_ESTATE;
        bad += jb_bus_topic_name(bus, event.topic_id, &topic) != JB_ESTATE;
        bad += jb_bus_get_stats(bus, &stats) != JB_ESTATE;
        bad += jb_bus_sub_stats(bus, 0, &sub_stats) != JB_ESTATE;
        bad += jb_sub_get_stats(sub, &sub_stats) != JB_ESTATE;
        bad += jb_sub_wait(sub, 0) != JB_ESTATE;
        bad += jb_sub_advance(sub) != JB_ESTATE;
        bad += jb_sub_add(sub, "a", 1) != JB_ESTATE;
        jb_sub_close(sub);
        jb_bus_close(bus);
        _exit(bad);
    }
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(publish_number(bus, "a.b", 1, 8), 0);
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_racing_openers_make_one_bus)
{
    int pipes[2];
    int status;
    uint32_t topics[4];

    ck_assert_int_eq(pipe(pipes), 0);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            jb_bus *bus = NULL;
            uint32_t n = 0;
            jb_bus_stats stats = {.size = sizeof stats};

            if (jb_bus_open(name, NULL, &bus, NULL) == 0 &&
                publish_number(bus, "race.x", (uint64_t)i, 8) == 0)
                n = 1;
            ck_assert_int_eq((int)write(pipes[1], &n, sizeof n), (int)sizeof n);
            /* Stay until all four have published, so that nobody is the last one out too early. */
            for (int wait = 0; bus && wait < 2000; wait++) {
                jb_bus_get_stats(bus, &stats);
                if (stats.n_published == 4)
                    break;
                usleep(1000);
            }
            _exit(stats.n_published == 4 ? 0 : 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq((int)read(pipes[0], &topics[i], sizeof topics[i]), (int)sizeof topics[i]);
        ck_assert_uint_eq(topics[i], 1);
    }
    for (int i = 0; i < 4; i++) {
        wait(&status);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

static int allocs_left;

static void *failing_alloc(size_t size_bytes, void *ctx)
{
    (void)ctx;
    return allocs_left-- > 0 ? malloc(size_bytes) : NULL;
}

static void *no_realloc(void *ptr, size_t old_size_bytes, size_t size_bytes, void *ctx)
{
    (void)ptr, (void)old_size_bytes, (void)size_bytes, (void)ctx;
    return NULL;
}

static void counted_free(void *ptr, size_t size_bytes, void *ctx)
{
    (void)size_bytes, (void)ctx;
    free(ptr);
}

START_TEST(test_a_failing_allocator_fails_the_open_and_leaves_nothing)
{
    jb_alloc alloc = {failing_alloc, no_realloc, counted_free, NULL};
    jb_bus_opts opts;
    jb_bus *bus = NULL;
    jb_sub *sub = NULL;
    struct stat st;
    int rc = JB_ENOMEM;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.alloc = &alloc;
    for (int n = 0; rc == JB_ENOMEM; n++) {
        ck_assert_int_lt(n, 50);
        ck_assert_int_ne(stat(path, &st), 0);
        allocs_left = n;
        rc = jb_bus_create(name, &opts, &bus, NULL);
    }
    ck_assert_int_eq(rc, 0);
    rc = JB_ENOMEM;
    for (int n = 0; rc == JB_ENOMEM; n++) {
        ck_assert_int_lt(n, 50);
        allocs_left = n;
        rc = jb_bus_subscribe(bus, "a.>", 3, NULL, &sub, NULL);
    }
    ck_assert_int_eq(rc, 0);
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shm");
    TCase *tc = suite_case(suite, "shm");

    tcase_add_checked_fixture(tc, fresh_name, remove_name);
    tcase_add_test(tc, test_create_attach_and_the_last_one_out_removes_it);
    tcase_add_test(tc, test_keep_leaves_the_segment_and_unlink_removes_it);
    tcase_add_test(tc, test_illegal_names_are_refused);
    tcase_add_test(tc, test_sizes_out_of_range_are_refused);
    tcase_add_test(tc, test_foreign_files_are_refused_with_the_reason);
    tcase_add_test(tc, test_a_damaged_header_is_refused);
    tcase_add_test(tc, test_links_and_folders_are_refused);
    tcase_add_test(tc, test_all_places_taken_is_a_limit_and_a_dead_peer_frees_its_own);
    tcase_add_test(tc, test_closing_aborts_open_claims);
    tcase_add_test(tc, test_a_handle_does_not_survive_fork);
    tcase_add_test(tc, test_racing_openers_make_one_bus);
    tcase_add_test(tc, test_a_failing_allocator_fails_the_open_and_leaves_nothing);
    return suite_run(suite);
}
