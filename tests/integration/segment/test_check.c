/*
 * jb_bus_check() and jb_bus_list(): a bus seen from outside, in use, after a crash, damaged.
 */
#include "segment.h"

struct seen {
    uint32_t n[5]; /* by kind */
    jb_check_item last[5];
};

static void see(const jb_check_item *item, void *userdata)
{
    struct seen *seen = userdata;

    ck_assert_uint_ge(item->kind, JB_CHECK_PEER);
    ck_assert_uint_le(item->kind, JB_CHECK_FAULT);
    seen->n[item->kind]++;
    seen->last[item->kind] = *item;
}

static jb_check look(int n_faults, struct seen *seen)
{
    jb_check check = {.size = sizeof check};
    jb_error err;
    int rc;

    memset(seen, 0, sizeof *seen);
    jb_error_init(&err);
    rc = jb_bus_check("b", see, seen, &check, &err);
    ck_assert_msg(rc == n_faults, "%d, not %d: %s%s", rc, n_faults, err.msg,
                  seen->last[JB_CHECK_FAULT].text);
    ck_assert_uint_eq(check.used_bytes + check.free_bytes, check.capacity_bytes);
    ck_assert_uint_eq(check.size, sizeof check);
    return check;
}

START_TEST(test_a_bus_in_use_is_seen_without_touching_it)
{
    jb_bus *bus = segment_open(jb_bus_create, 0, 0);
    jb_sub *sub = subscribe(bus, "a.*", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    struct stat before, after;
    struct seen seen;
    jb_check check;

    for (uint64_t i = 0; i < 3; i++)
        ck_assert_int_eq(publish_number(bus, "a.b", i, 8), 0);
    ck_assert_int_eq(stat(segment_path, &before), 0);
    check = look(0, &seen);
    ck_assert_int_eq(stat(segment_path, &after), 0);
    ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    ck_assert_uint_eq(check.is_in_use + check.is_this_boot + check.is_creator_alive, 3);
    ck_assert_uint_eq(check.is_kept + check.is_over, 0);
    ck_assert_uint_eq(check.creator_pid, (uint32_t)getpid());
    ck_assert_uint_eq(check.n_events, 3);
    ck_assert_uint_eq(check.n_topics, 1);
    ck_assert_uint_eq(seen.n[JB_CHECK_PEER], 1);
    ck_assert_uint_eq(seen.last[JB_CHECK_PEER].is_alive, 1);
    ck_assert_uint_eq(seen.n[JB_CHECK_SUB], 1);
    ck_assert_str_eq(seen.last[JB_CHECK_SUB].text, "a.*");
    ck_assert_uint_eq(seen.last[JB_CHECK_SUB].len_bytes, check.used_bytes);
    ck_assert_uint_eq(seen.last[JB_CHECK_SUB].is_holding, 1);
    jb_sub_close(sub);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_what_a_crash_left_is_seen_as_it_is)
{
    struct seen seen;
    jb_check check;

    segment_crash(0, 5);
    check = look(0, &seen);
    ck_assert_uint_eq(check.is_in_use + check.is_kept + check.is_creator_alive, 0);
    ck_assert_uint_eq(check.is_over, 1);
    ck_assert_uint_eq(check.n_peers, 0);
    ck_assert_uint_eq(check.n_peers_dead, 1);
    ck_assert_uint_eq(check.n_claims, 1);
    ck_assert_uint_eq(check.n_events, 5);
    ck_assert_uint_eq(seen.last[JB_CHECK_CLAIM].is_alive, 0);
    ck_assert_uint_eq(seen.last[JB_CHECK_CLAIM].pid, seen.last[JB_CHECK_PEER].pid);
    ck_assert_uint_ge(seen.last[JB_CHECK_CLAIM].len_bytes, 100);
}
END_TEST

START_TEST(test_the_first_broken_place_of_the_chain_is_named)
{
    jb_bus *bus = segment_open(jb_bus_create, 0, 0);
    jb_event_head head = {.topic_id = topic_of(bus, "a.b"), .type = JB_EVENT_CUSTOM};
    struct seen seen;
    uint64_t mark, offset;
    jb_check check;
    jb_claim claim;
    int fd = open(segment_path, O_RDWR);

    ck_assert_int_eq(publish_number(bus, "a.b", 1, 8), 0);
    ck_assert_int_eq(jb_bus_claim(bus, &head, 8, &claim), 0);
    check = look(0, &seen);
    ck_assert_uint_eq(check.n_claims, 1);
    offset = seen.last[JB_CHECK_CLAIM].offset;
    ck_assert_int_eq((int)pread(fd, &mark, sizeof mark, (off_t)offset), 8);
    /* Its length is in bits 10 to 24; a record of no blocks leads nowhere. */
    mark &= ~(UINT64_C(0x7fff) << 10);
    ck_assert_int_eq((int)pwrite(fd, &mark, sizeof mark, (off_t)offset), 8);
    check = look(1, &seen);
    ck_assert_uint_eq(check.is_walk_complete, 0);
    ck_assert_uint_eq(check.n_events, 1);
    ck_assert_uint_eq(seen.last[JB_CHECK_FAULT].offset, offset);
    ck_assert_uint_eq(seen.last[JB_CHECK_FAULT].position, check.end);
    ck_assert_ptr_nonnull(strstr(seen.last[JB_CHECK_FAULT].text, "chain"));
    close(fd);
    jb_bus_close(bus);
}
END_TEST

/* Ends when its parent kills it. */
static void publish_for_ever(void)
{
    jb_bus *bus = segment_open(jb_bus_attach, 0, 0);

    for (uint64_t i = 0;; i++)
        publish_number(bus, "a.b", i, 8 + i * 37 % 3000);
}

START_TEST(test_a_bus_in_motion_shows_no_damage)
{
    jb_bus *bus = segment_open(jb_bus_create, 0, 0);
    jb_bus_stats stats = {.size = sizeof stats};
    struct seen seen;
    pid_t pids[2];
    int status;

    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            publish_for_ever();
    }
    while (stats.n_published < 10000)
        ck_assert_int_eq(jb_bus_get_stats(bus, &stats), 0);
    for (int i = 0; i < 300; i++)
        ck_assert_uint_eq(look(0, &seen).is_in_use, 1);
    for (int i = 0; i < 2; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], &status, 0);
    }
    look(0, &seen);
    jb_bus_close(bus);
}
END_TEST

START_TEST(test_what_cannot_be_examined_is_an_error)
{
    jb_check check = {.size = sizeof check};
    jb_error err;

    ck_assert_int_eq(jb_bus_check("b", NULL, NULL, &check, &err), JB_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.msg, segment_path));
    ck_assert_int_eq(jb_bus_check("not/../a.bus", NULL, NULL, &check, &err), JB_ENOENT);
    ck_assert_int_eq(jb_bus_check("a name", NULL, NULL, &check, &err), JB_EINVAL);
    ck_assert_int_eq(jb_bus_check(NULL, NULL, NULL, &check, &err), JB_EINVAL);
    check.size = 0;
    ck_assert_int_eq(jb_bus_check("b", NULL, NULL, &check, &err), JB_EINVAL);
}
END_TEST

static void join_names(const char *name, void *userdata)
{
    strcat(strcat(userdata, name), ";");
}

START_TEST(test_buses_are_listed_by_name)
{
    char names[256] = "", file[200];
    jb_bus *bus;

    ck_assert_int_eq(jb_bus_list(join_names, names, NULL), 0);
    segment_crash(JB_BUS_KEEP, 1);
    ck_assert_int_eq(jb_bus_open("a-2nd.one", NULL, &bus, NULL), 0);
    snprintf(file, sizeof file, "%s/jimbot-%u-junk", segment_dir, (unsigned)getuid());
    close(open(file, O_CREAT | O_RDWR, 0600));
    ck_assert_int_eq(jb_bus_list(join_names, names, NULL), 2);
    ck_assert_ptr_nonnull(strstr(names, "a-2nd.one;"));
    ck_assert_ptr_nonnull(strstr(names, "b;"));
    ck_assert_int_eq(jb_bus_list(NULL, NULL, NULL), 2);
    jb_bus_close(bus);
    setenv("JIMBOT_SHM_DIR", "/no/such/folder", 1);
    ck_assert_int_eq(jb_bus_list(NULL, NULL, NULL), JB_ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment-check");
    TCase *tc = suite_case(suite, "check");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_a_bus_in_use_is_seen_without_touching_it);
    tcase_add_test(tc, test_what_a_crash_left_is_seen_as_it_is);
    tcase_add_test(tc, test_the_first_broken_place_of_the_chain_is_named);
    tcase_add_test(tc, test_a_bus_in_motion_shows_no_damage);
    tcase_add_test(tc, test_what_cannot_be_examined_is_an_error);
    tcase_add_test(tc, test_buses_are_listed_by_name);
    return suite_run(suite);
}
