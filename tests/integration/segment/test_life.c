/*
 * The life of a segment: who ends it, what is left of it after a crash, and that nobody has to
 * clean up. Real processes, real SIGKILL.
 */
#include "segment.h"

START_TEST(test_a_bus_that_ended_in_a_crash_starts_afresh)
{
    jb_bus_stats stats = {.size = sizeof stats};
    jb_bus *bus;

    segment_crash(0, 5);
    ck_assert_int_eq(segment_count(), 1);
    segment_open(jb_bus_attach, 0, JB_ENOENT);
    bus = segment_open(jb_bus_open, 0, 0);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_published, 0);
    ck_assert_uint_eq(stats.n_topics, 0);
    ck_assert_uint_eq(stats.n_peers, 1);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

START_TEST(test_create_replaces_what_a_crash_left)
{
    jb_bus *bus;

    segment_crash(0, 5);
    bus = segment_open(jb_bus_create, 0, 0);
    segment_open(jb_bus_create, 0, JB_EEXIST);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

START_TEST(test_a_kept_bus_goes_on_after_a_crash_of_everybody)
{
    jb_bus_stats stats = {.size = sizeof stats};
    jb_event events[8];
    jb_bus *bus;
    jb_sub *sub;

    segment_crash(JB_BUS_KEEP, 5);
    segment_open(jb_bus_create, 0, JB_EEXIST);
    bus = segment_open(jb_bus_attach, 0, 0);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_published, 5 + 1); /* we tell of the reader that died */
    ck_assert_uint_eq(stats.n_aborted, 1);
    ck_assert_uint_eq(stats.n_peers, 1);
    ck_assert_uint_eq(stats.n_subs, 0);
    sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_OLDEST);
    ck_assert_int_eq(publish_number(bus, "crash.x", 6, 8), 0);
    ck_assert_int_eq(jb_sub_peek(sub, events, 8), 7);
    for (uint64_t i = 0; i < 5; i++)
        ck_assert_uint_eq(number_of(&events[i]), i + 1);
    ck_assert_uint_eq(events[5].topic_id, topic_of(bus, "system.bus.reader_died"));
    ck_assert_uint_eq(number_of(&events[6]), 6);
    jb_sub_close(sub);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 1);
    ck_assert_int_eq(jb_bus_unlink("b", NULL), 0);
}
END_TEST

START_TEST(test_what_a_crash_left_under_another_name_is_removed_too)
{
    jb_bus_opts opts;
    jb_bus *bus, *kept;
    char other[200];

    segment_crash(0, 1);
    snprintf(other, sizeof other, "%s/not-a-bus", segment_dir);
    close(open(other, O_CREAT | O_RDWR, 0600));
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.flags = JB_BUS_KEEP;
    ck_assert_int_eq(jb_bus_open("kept", &opts, &kept, NULL), 0);
    jb_bus_close(kept);
    ck_assert_int_eq(segment_count(), 2);
    opts.flags = 0;
    ck_assert_int_eq(jb_bus_open("fresh", &opts, &bus, NULL), 0);
    ck_assert_int_eq(segment_count(), 3);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 2);
}
END_TEST

static int attach_and_publish(void)
{
    jb_bus *bus = segment_open(jb_bus_attach, 0, 0);
    int rc = publish_number(bus, "late.x", 7, 8);

    jb_bus_close(bus);
    return rc ? 1 : 0;
}

START_TEST(test_the_creator_may_die_while_others_have_it_open)
{
    int go[2], status;
    char byte;
    jb_bus *bus;
    pid_t pid;

    ck_assert_int_eq(pipe(go), 0);
    pid = fork();
    if (pid == 0) {
        segment_open(jb_bus_create, 0, 0);
        if (write(go[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    ck_assert_int_eq((int)read(go[0], &byte, 1), 1);
    bus = segment_open(jb_bus_attach, 0, 0);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    ck_assert_int_eq(segment_child(attach_and_publish), 0);
    ck_assert_int_eq(publish_number(bus, "late.x", 8, 8), 0);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

/* Bytes of the file, as another program would change them: written through a descriptor. */
static void overwrite(off_t off, const void *bytes, size_t len_bytes)
{
    int fd = open(segment_path, O_RDWR);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)pwrite(fd, bytes, len_bytes, off), (int)len_bytes);
    close(fd);
}

enum { AT_BYTE_ORDER = 8, AT_VERSION = 16, AT_PID = 28, AT_BOOT_ID = 32, AT_PARAMS = 64 };

START_TEST(test_a_bus_of_another_boot_starts_afresh_kept_or_not)
{
    static const uint8_t other_boot[16] = "another boot id";
    jb_bus_stats stats = {.size = sizeof stats};
    jb_bus *bus;

    segment_crash(JB_BUS_KEEP, 5);
    overwrite(AT_BOOT_ID, other_boot, sizeof other_boot);
    segment_open(jb_bus_attach, 0, JB_ENOENT);
    bus = segment_open(jb_bus_open, 0, 0);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_published, 0);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

static void keep_peer(const jb_check_item *item, void *userdata)
{
    if (item->kind == JB_CHECK_PEER)
        *(jb_check_item *)userdata = *item;
}

/* The number of a dead peer's process is that of a living one now: ours. */
START_TEST(test_a_reused_pid_does_not_keep_a_dead_peer_alive)
{
    jb_check check = {.size = sizeof check};
    jb_check_item peer = {0};
    jb_bus_stats stats = {.size = sizeof stats};
    uint32_t pid = (uint32_t)getpid();
    jb_bus *bus;

    segment_crash(JB_BUS_KEEP, 3);
    ck_assert_int_eq(jb_bus_check("b", keep_peer, &peer, &check, NULL), 0);
    overwrite((off_t)peer.offset + 4, &pid, sizeof pid);
    ck_assert_int_eq(jb_bus_check("b", keep_peer, &peer, &check, NULL), 0);
    ck_assert_uint_eq(peer.pid, pid);
    ck_assert_uint_eq(peer.is_alive, 0);
    bus = segment_open(jb_bus_attach, 0, 0);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_peers, 1);
    ck_assert_uint_eq(stats.n_aborted, 1);
    jb_bus_close(bus);
}
END_TEST

/* An upgrade, or a build in between, after a crash: nobody has to remove the file. */
START_TEST(test_what_is_left_of_another_version_is_replaced)
{
    static const uint64_t version = 999;
    jb_bus *bus;

    segment_crash(0, 1);
    overwrite(AT_VERSION, &version, sizeof version);
    segment_open(jb_bus_attach, 0, JB_ENOENT);
    bus = segment_open(jb_bus_open, 0, 0);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
    segment_crash(0, 1);
    ck_assert_int_eq(truncate(segment_path, 8192), 0);
    bus = segment_open(jb_bus_open, 0, 0);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

/* Another version, another size, another machine, cut: refused with the reason while it is in use,
 * or to be kept. */
START_TEST(test_a_foreign_segment_in_use_or_kept_is_refused)
{
    static const uint64_t values[] = {999, 131072, 0x0807060504030201u};
    static const off_t places[] = {AT_VERSION, AT_PARAMS, AT_BYTE_ORDER};
    static const char *const words[] = {"layout version 999", "damaged", "byte order"};
    jb_error err;

    for (int is_kept = 0; is_kept < 2; is_kept++) {
        jb_bus *bus = segment_open(jb_bus_create, is_kept ? JB_BUS_KEEP : 0, 0), *second = NULL;
        uint64_t sound;
        int fd = open(segment_path, O_RDONLY);

        if (is_kept)
            jb_bus_close(bus);
        for (size_t i = 0; i < 3; i++) {
            ck_assert_int_eq((int)pread(fd, &sound, sizeof sound, places[i]), 8);
            overwrite(places[i], &values[i], sizeof values[i]);
            ck_assert_int_eq(jb_bus_open("b", NULL, &second, &err), JB_ELAYOUT);
            ck_assert_msg(strstr(err.msg, words[i]) != NULL, "%s", err.msg);
            ck_assert_ptr_nonnull(strstr(err.msg, segment_path));
            overwrite(places[i], &sound, sizeof sound);
        }
        close(fd);
        if (!is_kept)
            jb_bus_close(bus);
    }
    ck_assert_int_eq(jb_bus_unlink("b", NULL), 0);
}
END_TEST

/* The size is the creator's; who attaches takes what is there. */
START_TEST(test_who_attaches_with_other_sizes_takes_those_of_the_bus)
{
    jb_bus_stats stats = {.size = sizeof stats};
    jb_bus *bus = segment_open(jb_bus_create, 0, 0), *second;
    jb_bus_opts opts;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 1 << 20;
    opts.max_peers = 3;
    ck_assert_int_eq(jb_bus_open("b", &opts, &second, NULL), 0);
    ck_assert_int_eq(jb_bus_get_stats(second, &stats), 0);
    ck_assert_uint_eq(stats.capacity_bytes, 65536);
    ck_assert_uint_eq(stats.max_peers, 12);
    jb_bus_close(second);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_unlink_takes_the_name_and_leaves_those_who_have_it_open)
{
    jb_bus *bus = segment_open(jb_bus_create, 0, 0), *fresh;
    jb_bus_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(publish_number(bus, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_bus_unlink("b", NULL), 0);
    fresh = segment_open(jb_bus_open, 0, 0);
    ck_assert_int_eq(publish_number(bus, "a.b", 2, 8), 0);
    jb_bus_get_stats(fresh, &stats);
    ck_assert_uint_eq(stats.n_published, 0);
    /* The old one's end does not take the new one's name. */
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 1);
    segment_open(jb_bus_create, 0, JB_EEXIST);
    jb_bus_close(fresh);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

static int allocs_to_rival;
static jb_bus *rival;

/* Called between the making of the segment and its name: there is nothing to attach to yet, and
 * somebody else is faster. */
static void *alloc_and_be_overtaken(size_t size_bytes, void *ctx)
{
    (void)ctx;
    if (--allocs_to_rival == 0) {
        segment_open(jb_bus_attach, 0, JB_ENOENT);
        ck_assert_int_eq(segment_count(), 0);
        rival = segment_open(jb_bus_create, 0, 0);
    }
    return malloc(size_bytes);
}

static void *no_realloc(void *ptr, size_t old_size_bytes, size_t size_bytes, void *ctx)
{
    (void)ptr, (void)old_size_bytes, (void)size_bytes, (void)ctx;
    return NULL;
}

static void plain_free(void *ptr, size_t size_bytes, void *ctx)
{
    (void)size_bytes, (void)ctx;
    free(ptr);
}

START_TEST(test_a_creator_who_is_overtaken_before_the_name_joins_the_faster_one)
{
    jb_alloc alloc = {alloc_and_be_overtaken, no_realloc, plain_free, NULL};
    jb_bus_stats stats = {.size = sizeof stats};
    jb_bus_opts opts;
    jb_bus *bus = NULL;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.alloc = &alloc;
    allocs_to_rival = 2; /* the first is the handle's */
    ck_assert_int_eq(jb_bus_create("b", &opts, &bus, NULL), JB_EEXIST);
    jb_bus_close(rival);
    allocs_to_rival = 2;
    ck_assert_int_eq(jb_bus_open("b", &opts, &bus, NULL), 0);
    ck_assert_int_eq(publish_number(rival, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    ck_assert_uint_eq(stats.n_published, 1);
    ck_assert_uint_eq(stats.capacity_bytes, 65536);
    jb_bus_close(bus);
    jb_bus_close(rival);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

/* One who was stopped in the middle of coming in holds up others for two seconds a call; they are
 * told, and go on when he does. */
START_TEST(test_who_stands_still_while_coming_in_is_told_of)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)1 << 48, .l_len = 1};
    jb_bus *bus = segment_open(jb_bus_create, 0, 0), *second;
    int fd = open(segment_path, O_RDWR);

    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    segment_open(jb_bus_attach, 0, JB_ETIMEDOUT);
    ck_assert_int_eq(jb_bus_unlink("b", NULL), JB_ETIMEDOUT);
    ck_assert_int_eq(publish_number(bus, "a.b", 1, 8), 0);
    close(fd);
    second = segment_open(jb_bus_attach, 0, 0);
    jb_bus_close(second);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment-life");
    TCase *tc = suite_case(suite, "life");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_a_bus_that_ended_in_a_crash_starts_afresh);
    tcase_add_test(tc, test_create_replaces_what_a_crash_left);
    tcase_add_test(tc, test_a_kept_bus_goes_on_after_a_crash_of_everybody);
    tcase_add_test(tc, test_what_a_crash_left_under_another_name_is_removed_too);
    tcase_add_test(tc, test_the_creator_may_die_while_others_have_it_open);
    tcase_add_test(tc, test_a_bus_of_another_boot_starts_afresh_kept_or_not);
    tcase_add_test(tc, test_a_reused_pid_does_not_keep_a_dead_peer_alive);
    tcase_add_test(tc, test_what_is_left_of_another_version_is_replaced);
    tcase_add_test(tc, test_a_foreign_segment_in_use_or_kept_is_refused);
    tcase_add_test(tc, test_who_attaches_with_other_sizes_takes_those_of_the_bus);
    tcase_add_test(tc, test_unlink_takes_the_name_and_leaves_those_who_have_it_open);
    tcase_add_test(tc, test_who_stands_still_while_coming_in_is_told_of);
    tcase_add_test(tc, test_a_creator_who_is_overtaken_before_the_name_joins_the_faster_one);
    return suite_run(suite);
}
