/*
 * Main memory: what the kernel's texts say, what this very process uses, and the verdict over it.
 */
#include "quota/memory.h"
#include "quota/proc_text.h"
#include "support/suite.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool status_of(const char *text, struct jbi_proc_status *ret_status)
{
    return jbi_proc_status_parse(text, strlen(text), ret_status);
}

START_TEST(test_status_is_read)
{
    struct jbi_proc_status s;

    ck_assert(status_of("Name:\tx\nPPid:\t7\nVmRSS:\t     100 kB\nRssAnon:\t 60 kB\n"
                        "RssFile:\t30 kB\nRssShmem:\t10 kB\nVmSwap:\t5 kB\n",
                        &s));
    ck_assert_uint_eq(s.parent_pid, 7);
    ck_assert_uint_eq(s.rss_bytes, 102400);
    ck_assert_uint_eq(s.shared_bytes, 40960);
    ck_assert_uint_eq(s.swap_bytes, 5120);
    ck_assert(status_of("PPid:\t1\n", &s));
    ck_assert_uint_eq(s.rss_bytes, 0);
}
END_TEST

START_TEST(test_status_that_no_kernel_writes_is_refused)
{
    static const char *const bad[] = {"",
                                      "VmRSS:\t1 kB\n",
                                      "PPid:\t\n",
                                      "PPid:\t-1\n",
                                      "PPid:\t1 2\n",
                                      "PPid:\t4294967296\n",
                                      "PPid:\t1\nVmRSS:\t1\n",
                                      "PPid:\t1\nVmRSS:\t1 MB\n",
                                      "PPid:\t1\nVmRSS:\t18446744073709551616 kB\n",
                                      "PPid:\t1\nVmRSS:\t18014398509481984 kB\n"};
    struct jbi_proc_status s;

    ck_assert(!status_of(bad[_i], &s));
}
END_TEST

static bool group_of(const char *text, char path[32])
{
    return jbi_proc_cgroup_parse(text, strlen(text), path, 32);
}

START_TEST(test_the_group_of_version_two_is_found)
{
    char path[32];

    ck_assert(group_of("12:cpu:/old\n1:name=systemd:/x\n0::/user.slice/a..b\n", path));
    ck_assert_str_eq(path, "/user.slice/a..b");
    ck_assert(group_of("0::/\n", path));
    ck_assert_str_eq(path, "");
    ck_assert(!group_of("12:memory:/old\n", path));
    ck_assert(!group_of("0::/../other\n", path));
    ck_assert(!group_of("0::/a/..\n", path));
    ck_assert(!group_of("0::relative\n", path));
    ck_assert(!group_of("0::/a-name-of-more-than-thirty-bytes\n", path));
}
END_TEST

START_TEST(test_amounts_are_read)
{
    uint64_t amount = 7;

    ck_assert(jbi_cgroup_amount_parse("123\n", 4, &amount));
    ck_assert_uint_eq(amount, 123);
    ck_assert(jbi_cgroup_amount_parse("max\n", 4, &amount));
    ck_assert_uint_eq(amount, UINT64_MAX);
    ck_assert(!jbi_cgroup_amount_parse("", 0, &amount));
    ck_assert(!jbi_cgroup_amount_parse("-1\n", 3, &amount));
    ck_assert(!jbi_cgroup_amount_parse("1 2\n", 4, &amount));
    ck_assert(!jbi_cgroup_amount_parse("1\n2\n", 4, &amount));
}
END_TEST

START_TEST(test_this_process_is_read)
{
    enum { BYTES = 32 << 20 };
    jb_memory_reading before = {.size = sizeof before}, after = {.size = sizeof after};
    char *block;

    ck_assert_int_eq(jb_memory_read(0, &before, NULL), 0);
    ck_assert_uint_eq(before.parent_pid, (uint32_t)getppid());
    block = malloc(BYTES);
    memset(block, 1, BYTES);
    ck_assert_int_eq(jb_memory_read((uint32_t)getpid(), &after, NULL), 0);
    ck_assert_uint_ge(after.rss_bytes + after.swap_bytes,
                      before.rss_bytes + before.swap_bytes + BYTES / 2);
    ck_assert_uint_eq(after.start, before.start);
    ck_assert_uint_le(after.shared_bytes, after.rss_bytes);
    ck_assert_int_eq(block[BYTES / 2], 1);
    free(block);
}
END_TEST

START_TEST(test_a_process_that_is_not_there_is_said_so)
{
    jb_memory_reading r = {.size = sizeof r};
    jb_error err;

    ck_assert_int_eq(jb_memory_read(4194305, &r, &err), JB_ENOENT);
    r.size = 0;
    ck_assert_int_eq(jb_memory_read(0, &r, &err), JB_EINVAL);
}
END_TEST

static void put(const char *root, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *at = strchr(path + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(test_the_control_group_is_read_where_there_is_one)
{
    char root[] = "/tmp/jimbot-memory-XXXXXX", command[64];
    jb_memory_reading r = {.size = sizeof r};
    jb_error err;

    ck_assert_ptr_nonnull(mkdtemp(root));
    put(root, "/proc/9/status", "PPid:\t1\nVmRSS:\t4 kB\n");
    ck_assert_int_eq(jbi_memory_read_below(root, 9, &r, &err), 0);
    ck_assert_uint_eq(r.cgroup_bytes, UINT64_MAX);
    put(root, "/proc/9/cgroup", "0::/a/b\n");
    ck_assert_int_eq(jbi_memory_read_below(root, 9, &r, &err), 0);
    ck_assert_uint_eq(r.cgroup_bytes, UINT64_MAX);
    put(root, "/sys/fs/cgroup/a/b/memory.current", "5000\n");
    put(root, "/sys/fs/cgroup/a/b/memory.max", "max\n");
    ck_assert_int_eq(jbi_memory_read_below(root, 9, &r, &err), 0);
    ck_assert_uint_eq(r.cgroup_bytes, 5000);
    ck_assert_uint_eq(r.cgroup_limit_bytes, UINT64_MAX);
    put(root, "/sys/fs/cgroup/a/b/memory.max", "9000\n");
    ck_assert_int_eq(jbi_memory_read_below(root, 9, &r, &err), 0);
    ck_assert_uint_eq(r.cgroup_limit_bytes, 9000);
    put(root, "/proc/9/status", "VmRSS:\tmuch\n");
    ck_assert_int_eq(jbi_memory_read_below(root, 9, &r, &err), JB_EPROTO);
    snprintf(command, sizeof command, "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(test_the_verdict_warns_at_four_fifths)
{
    uint64_t shrink = 9;

    ck_assert_int_eq(jb_memory_judge(1000, 799, JB_MEMORY_FINE, &shrink), JB_MEMORY_FINE);
    ck_assert_uint_eq(shrink, 0);
    ck_assert_int_eq(jb_memory_judge(1000, 800, JB_MEMORY_FINE, NULL), JB_MEMORY_WARN);
    ck_assert_int_eq(jb_memory_judge(1000, 1000, JB_MEMORY_FINE, NULL), JB_MEMORY_WARN);
    ck_assert_int_eq(jb_memory_judge(1000, 1001, JB_MEMORY_FINE, &shrink), JB_MEMORY_OVER);
    ck_assert_uint_eq(shrink, 201);
    ck_assert_int_eq(jb_memory_judge(0, 1, JB_MEMORY_FINE, &shrink), JB_MEMORY_OVER);
    ck_assert_int_eq(jb_memory_judge(0, 0, JB_MEMORY_OVER, &shrink), JB_MEMORY_FINE);
    ck_assert_int_eq(jb_memory_judge(UINT64_MAX, UINT64_MAX, 0, NULL), JB_MEMORY_WARN);
    ck_assert_int_eq(jb_memory_judge(1, 1, 3, NULL), JB_EINVAL);
}
END_TEST

START_TEST(test_a_state_is_left_below_where_it_began)
{
    ck_assert_int_eq(jb_memory_judge(1000, 750, JB_MEMORY_WARN, NULL), JB_MEMORY_WARN);
    ck_assert_int_eq(jb_memory_judge(1000, 749, JB_MEMORY_WARN, NULL), JB_MEMORY_FINE);
    ck_assert_int_eq(jb_memory_judge(1000, 900, JB_MEMORY_OVER, NULL), JB_MEMORY_OVER);
    ck_assert_int_eq(jb_memory_judge(1000, 899, JB_MEMORY_OVER, NULL), JB_MEMORY_WARN);
    ck_assert_int_eq(jb_memory_judge(1000, 100, JB_MEMORY_OVER, NULL), JB_MEMORY_FINE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tc = suite_case(suite, "memory");

    tcase_add_test(tc, test_status_is_read);
    tcase_add_loop_test(tc, test_status_that_no_kernel_writes_is_refused, 0, 10);
    tcase_add_test(tc, test_the_group_of_version_two_is_found);
    tcase_add_test(tc, test_amounts_are_read);
    tcase_add_test(tc, test_this_process_is_read);
    tcase_add_test(tc, test_a_process_that_is_not_there_is_said_so);
    tcase_add_test(tc, test_the_control_group_is_read_where_there_is_one);
    tcase_add_test(tc, test_the_verdict_warns_at_four_fifths);
    tcase_add_test(tc, test_a_state_is_left_below_where_it_began);
    return suite_run(suite);
}
