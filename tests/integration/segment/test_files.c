/*
 * What may stand under the name of a bus besides a bus, and where buses are kept: odd files, odd
 * folders, no room.
 */
#include "segment.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>

static void make_empty(void)
{
    close(open(segment_path, O_CREAT | O_WRONLY, 0600));
}

static void make_folder(void)
{
    ck_assert_int_eq(mkdir(segment_path, 0700), 0);
}

static void make_fifo(void)
{
    ck_assert_int_eq(mkfifo(segment_path, 0600), 0);
}

static void make_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", segment_path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void make_link_to_a_bus(void)
{
    char target[200];

    segment_crash(JB_BUS_KEEP, 1);
    snprintf(target, sizeof target, "%s/target", segment_dir);
    ck_assert_int_eq(rename(segment_path, target), 0);
    ck_assert_int_eq(symlink(target, segment_path), 0);
}

static void make_dangling_link(void)
{
    ck_assert_int_eq(symlink("/no/such/target", segment_path), 0);
}

static void make_text(void)
{
    FILE *file = fopen(segment_path, "w");

    for (int i = 0; i < 2000; i++)
        fputs("not a bus\n", file);
    fclose(file);
}

static void (*const makers[])(void) = {make_empty,         make_fifo,          make_socket,
                                       make_link_to_a_bus, make_dangling_link, make_text,
                                       make_folder};
enum { N_MAKERS = sizeof makers / sizeof makers[0] };

START_TEST(test_what_is_no_bus_is_refused_and_left_where_it_is)
{
    jb_check check = {.size = sizeof check};
    struct stat before, after;

    makers[_i]();
    ck_assert_int_eq(lstat(segment_path, &before), 0);
    segment_open(jb_bus_open, 0, JB_ELAYOUT);
    segment_open(jb_bus_attach, 0, JB_ELAYOUT);
    segment_open(jb_bus_create, 0, JB_EEXIST);
    ck_assert_int_eq(jb_bus_check("b", NULL, NULL, &check, NULL), JB_ELAYOUT);
    ck_assert_int_eq(jb_bus_unlink(segment_path, NULL), JB_ELAYOUT);
    ck_assert_int_eq(lstat(segment_path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(before.st_size, after.st_size);
    /* By its name, the way out. */
    ck_assert_int_eq(jb_bus_unlink("b", NULL), makers[_i] == make_folder ? JB_ELAYOUT : 0);
}
END_TEST

START_TEST(test_a_file_with_holes_is_refused)
{
    uint8_t head[4096];
    struct stat st;
    jb_error err;
    jb_bus *bus;
    int fd;

    segment_crash(JB_BUS_KEEP, 1);
    fd = open(segment_path, O_RDWR);
    ck_assert_int_eq((int)read(fd, head, sizeof head), (int)sizeof head);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(ftruncate(fd, st.st_size), 0);
    ck_assert_int_eq((int)pwrite(fd, head, sizeof head, 0), (int)sizeof head);
    ck_assert_int_eq(jb_bus_open("b", NULL, &bus, &err), JB_ELAYOUT);
    ck_assert_ptr_nonnull(strstr(err.msg, "holes"));
    close(fd);
}
END_TEST

static int read_a_cut_bus(void)
{
    jb_bus *bus = segment_open(jb_bus_attach, 0, 0);

    signal(SIGBUS, SIG_DFL);
    if (truncate(segment_path, 4096))
        return 1;
    publish_number(bus, "a.b", 1, 8);
    return 2;
}

/* Stated, not wished for: whoever may write the file can end those who have it open, as he could
 * with kill(). Nobody else comes to harm, and nobody has to clean up. */
START_TEST(test_a_file_cut_under_those_who_have_it_open_ends_them_and_only_them)
{
    jb_check check = {.size = sizeof check};
    jb_bus *bus;
    int status;
    pid_t holder = fork();

    if (holder == 0) {
        segment_open(jb_bus_create, 0, 0);
        pause();
        _exit(1);
    }
    while (access(segment_path, F_OK))
        usleep(1000);
    ck_assert_int_eq(segment_child(read_a_cut_bus), 128 + SIGBUS);
    segment_open(jb_bus_open, 0, JB_ELAYOUT);
    ck_assert_int_eq(jb_bus_check("b", NULL, NULL, &check, NULL), JB_ELAYOUT);
    kill(holder, SIGKILL);
    waitpid(holder, &status, 0);
    bus = segment_open(jb_bus_open, 0, 0);
    jb_bus_close(bus);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

START_TEST(test_an_anonymous_bus_cannot_be_cut)
{
    jb_bus *bus = NULL;
    char path[300], target[64];
    int n_found = 0;

    ck_assert_int_eq(jb_bus_create(NULL, NULL, &bus, NULL), 0);
    for (int fd = 3; fd < 64; fd++) {
        ssize_t len;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        len = readlink(path, target, sizeof target - 1);
        if (len < 13 || strncmp(target, "/memfd:jimbot", 13) != 0)
            continue;
        n_found++;
        ck_assert_int_eq(ftruncate(fd, 0), -1);
        ck_assert_int_eq(errno, EPERM);
    }
    ck_assert_int_eq(n_found, 1);
    jb_bus_close(bus);
}
END_TEST

static int crash_under_another_name(void)
{
    jb_bus_opts opts;
    jb_bus *bus;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 1 << 20;
    if (jb_bus_open("other", &opts, &bus, NULL))
        return 2;
    raise(SIGKILL);
    return 3;
}

static int use_a_full_folder(void)
{
    struct statvfs before, after;
    jb_bus_opts opts;
    jb_error err;
    jb_bus *bus;

    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", segment_dir, "tmpfs", 0, "size=3m"))
        return 77;
    statvfs(segment_dir, &before);
    if (jb_bus_open("b", NULL, &bus, &err) != JB_ESYS || err.os_errno != ENOSPC ||
        !strstr(err.msg, segment_path))
        return 2;
    statvfs(segment_dir, &after);
    if (segment_count() != 0 || before.f_bfree != after.f_bfree)
        return 3;
    /* What crashes left is given back before new room is asked for. */
    for (int i = 0; i < 3; i++) {
        if (segment_child(crash_under_another_name) != 128 + SIGKILL)
            return 4;
    }
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 1 << 20;
    if (jb_bus_open("b", &opts, &bus, &err))
        return 5;
    jb_bus_close(bus);
    return segment_count() == 0 ? 0 : 6;
}

START_TEST(test_a_full_folder_is_an_error_and_never_a_signal)
{
    int rc = segment_child(use_a_full_folder);

    if (rc == 77)
        puts("skipped: may not mount a small tmpfs here");
    else
        ck_assert_int_eq(rc, 0);
}
END_TEST

static int open_within_limits(void)
{
    struct rlimit files = {8192, 8192}, none = {3, 3};
    jb_error err;
    jb_bus *bus;

    if (setrlimit(RLIMIT_FSIZE, &files) || jb_bus_open("b", NULL, &bus, &err) != JB_ESYS ||
        err.os_errno != EFBIG)
        return 2;
    if (setrlimit(RLIMIT_NOFILE, &none) || jb_bus_open("b", NULL, &bus, &err) != JB_ESYS ||
        err.os_errno != EMFILE)
        return 3;
    return 0;
}

START_TEST(test_the_limits_of_a_process_are_errors_and_never_signals)
{
    ck_assert_int_eq(segment_child(open_within_limits), 0);
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

static int open_in(const char *folder)
{
    jb_error err;
    jb_bus *bus = NULL;
    jb_bus_opts opts;
    int rc;

    jb_error_init(&err);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    setenv("JIMBOT_SHM_DIR", folder, 1);
    rc = jb_bus_open("odd", &opts, &bus, &err);
    ck_assert_msg(rc == 0 || err.msg[0], "%s", folder);
    jb_bus_close(bus);
    return rc;
}

START_TEST(test_odd_folders_work_or_are_errors)
{
    char folder[700];

    snprintf(folder, sizeof folder, "%s///", segment_dir);
    ck_assert_int_eq(open_in(folder), 0);
    ck_assert_int_eq(chdir(segment_dir), 0);
    ck_assert_int_eq(open_in("."), 0);
    snprintf(folder, sizeof folder, "%s/with space, \xc3\xa9 and %%s", segment_dir);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    ck_assert_int_eq(open_in(folder), 0);
    ck_assert_int_eq(symlink(folder, "linked"), 0);
    ck_assert_int_eq(open_in("linked"), 0);
    ck_assert_int_eq(open_in(""), 0);
    ck_assert_int_eq(open_in("/no/such/folder"), JB_ENOENT);
    ck_assert_int_eq(open_in("/proc/self/cmdline"), JB_ENOENT);
    ck_assert_int_lt(open_in("/proc"), 0);
    memset(folder, 'x', sizeof folder - 1);
    folder[sizeof folder - 1] = '\0';
    ck_assert_int_eq(open_in(folder), JB_EINVAL);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment-files");
    TCase *tc = suite_case(suite, "files");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_loop_test(tc, test_what_is_no_bus_is_refused_and_left_where_it_is, 0, N_MAKERS);
    tcase_add_test(tc, test_a_file_with_holes_is_refused);
    tcase_add_test(tc, test_a_file_cut_under_those_who_have_it_open_ends_them_and_only_them);
    tcase_add_test(tc, test_an_anonymous_bus_cannot_be_cut);
    tcase_add_test(tc, test_a_full_folder_is_an_error_and_never_a_signal);
    tcase_add_test(tc, test_the_limits_of_a_process_are_errors_and_never_signals);
    tcase_add_test(tc, test_odd_folders_work_or_are_errors);
    return suite_run(suite);
}
