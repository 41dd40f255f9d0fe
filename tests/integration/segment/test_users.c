/*
 * Buses and users: no access, a name another user took, a bus for all.
 */
#include "segment.h"

static int become_nobody(void)
{
    return setgid(65534) || setuid(65534);
}

static int nobody_meets_closed_doors(void)
{
    char strangers[200];
    jb_bus *bus;

    if (become_nobody())
        return 2;
    /* The file is root's, mode 0600; the folder is root's, mode 0755. */
    if (jb_bus_attach(segment_path, NULL, &bus, NULL) != JB_EPERM ||
        jb_bus_open("mine", NULL, &bus, NULL) != JB_EPERM ||
        jb_bus_unlink(segment_path, NULL) != JB_EPERM)
        return 3;
    snprintf(strangers, sizeof strangers, "%s/locked", segment_dir);
    setenv("JIMBOT_SHM_DIR", strangers, 1);
    return jb_bus_open("mine", NULL, &bus, NULL) == JB_EPERM ? 0 : 4;
}

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    puts("skipped: needs root to be another user");
    return false;
}

START_TEST(test_no_access_is_a_permission_error)
{
    char locked[200];
    jb_bus *bus;

    if (!is_root())
        return;
    bus = segment_open(jb_bus_create, 0, 0);
    ck_assert_int_eq(chmod(segment_dir, 0755), 0);
    snprintf(locked, sizeof locked, "%s/locked", segment_dir);
    ck_assert_int_eq(mkdir(locked, 0700), 0);
    ck_assert_int_eq(segment_child(nobody_meets_closed_doors), 0);
    jb_bus_close(bus);
}
END_TEST

static int nobody_meets_a_squatter(void)
{
    jb_bus *bus;

    if (become_nobody())
        return 2;
    return jb_bus_open("b", NULL, &bus, NULL) == JB_EPERM &&
                   jb_bus_create("b", NULL, &bus, NULL) == JB_EEXIST &&
                   jb_bus_unlink("b", NULL) == JB_EPERM
               ? 0
               : 3;
}

/* In a folder for all, another user takes the name that would be ours. */
START_TEST(test_a_name_that_another_user_took_is_refused)
{
    char taken[200];
    jb_bus_opts opts;
    jb_bus *bus;

    if (!is_root())
        return;
    ck_assert_int_eq(chmod(segment_dir, 01777), 0);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.mode = 0666;
    snprintf(taken, sizeof taken, "%s/jimbot-65534-b", segment_dir);
    ck_assert_int_eq(jb_bus_create(taken, &opts, &bus, NULL), 0);
    ck_assert_int_eq(segment_child(nobody_meets_a_squatter), 0);
    jb_bus_close(bus);
}
END_TEST

static int nobody_shares(void)
{
    jb_bus *bus;

    if (become_nobody() || jb_bus_attach(segment_path, NULL, &bus, NULL) != 0 ||
        publish_number(bus, "a.b", 9, 8))
        return 2;
    raise(SIGKILL);
    return 3;
}

START_TEST(test_a_bus_for_all_is_shared_between_users)
{
    jb_bus_opts opts;
    jb_event event;
    jb_bus *bus;
    jb_sub *sub;

    if (!is_root())
        return;
    ck_assert_int_eq(chmod(segment_dir, 0755), 0);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.mode = 0666;
    ck_assert_int_eq(jb_bus_create("b", &opts, &bus, NULL), 0);
    sub = subscribe(bus, ">", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    ck_assert_int_eq(segment_child(nobody_shares), 128 + SIGKILL);
    ck_assert_int_eq(jb_sub_peek(sub, &event, 1), 1);
    ck_assert_uint_eq(number_of(&event), 9);
    jb_sub_close(sub);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment-users");
    TCase *tc = suite_case(suite, "users");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_no_access_is_a_permission_error);
    tcase_add_test(tc, test_a_name_that_another_user_took_is_refused);
    tcase_add_test(tc, test_a_bus_for_all_is_shared_between_users);
    return suite_run(suite);
}
