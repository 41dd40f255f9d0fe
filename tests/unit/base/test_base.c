/*
 * The status table, the error detail, the version, the log hook and the clocks.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "support/suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

START_TEST(test_every_code_has_a_name_and_a_sentence)
{
    const char *short_name;
    int32_t code;
    uint32_t n = 0;

    while (jb_err_at(n, &code, &short_name) == 0) {
        ck_assert_int_lt(code, 0);
        ck_assert_int_eq(strncmp(jb_err_name(code), "JB_E", 4), 0);
        ck_assert_uint_gt(strlen(jb_strerror(code)), 8);
        ck_assert_uint_gt(strlen(short_name), 2);
        n++;
    }
    ck_assert_uint_eq(n, 19);
    ck_assert_int_eq(jb_err_at(n, &code, &short_name), JB_ENOENT);
}
END_TEST

START_TEST(test_numbers_of_codes_never_change)
{
    ck_assert_int_eq(JB_EINVAL, -1);
    ck_assert_int_eq(JB_EAGAIN, -4);
    ck_assert_int_eq(JB_EPARSE, -12);
    ck_assert_int_eq(JB_ECLOSED, -18);
    ck_assert_str_eq(jb_err_name(JB_EAGAIN), "JB_EAGAIN");
    ck_assert_str_eq(jb_err_name(-999), "JB_E?");
    ck_assert_str_eq(jb_err_name(0), "JB_OK");
}
END_TEST

START_TEST(test_error_detail_is_cut_not_overrun)
{
    char text[1000];
    jb_error err;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(jbi_error_at(&err, JB_EPARSE, 77, "%s", text), JB_EPARSE);
    ck_assert_uint_eq(strlen(err.msg), sizeof err.msg - 1);
    ck_assert_uint_eq(err.offset, 77);
    ck_assert_int_eq(err.code, JB_EPARSE);
    ck_assert_int_eq(jbi_error_os(&err, JB_ESYS, 2, "%s", text), JB_ESYS);
    ck_assert_int_eq(err.os_errno, 2);
    ck_assert_int_eq(jbi_error_set(NULL, JB_ESYS, "nobody listens"), JB_ESYS);
}
END_TEST

START_TEST(test_version_text_and_number_agree)
{
    char text[32];
    uint32_t version = jb_version();

    snprintf(text, sizeof text, "%u.%u.%u", version >> 16, version >> 8 & 255, version & 255);
    ck_assert_str_eq(jb_version_string(), text);
}
END_TEST

static char last_line[600];
static char mark[] = ":";

static void keep_line(uint32_t level, const char *line, void *userdata)
{
    snprintf(last_line, sizeof last_line, "%u%s%s", level, (const char *)userdata, line);
}

START_TEST(test_log_is_silent_until_asked)
{
    jbi_log(JB_LOG_ERROR, "unheard");
    ck_assert_str_eq(last_line, "");
    jb_log_set(keep_line, mark);
    jbi_log(JB_LOG_WARN, "heard %d", 7);
    ck_assert_str_eq(last_line, "2:heard 7");
    jb_log_set(NULL, NULL);
}
END_TEST

START_TEST(test_clocks_go_forward)
{
    uint64_t before = jb_clock_now_ns();

    ck_assert_uint_ge(jb_clock_now_ns(), before);
    ck_assert_uint_gt(jb_clock_utc_ns(), UINT64_C(1700000000000000000));
}
END_TEST

/* Sleeps and works by turns, so that it takes the processor from others as often as it can. */
static void *interrupt_others(void *arg)
{
    const struct timespec nap = {.tv_nsec = 1000};
    _Atomic int *running = arg;
    uint64_t end;

    while (atomic_load(running)) {
        nanosleep(&nap, NULL);
        end = jb_clock_now_ns() + 50000;
        while (jb_clock_now_ns() < end)
            (void)jbi_clock_event_ns();
    }
    return NULL;
}

/* Whoever sets the clock is now and then stopped halfway. */
START_TEST(test_event_clock_keeps_to_the_kernels)
{
    enum { OTHERS = 16, SLACK_NS = 2000 };
    pthread_t others[OTHERS];
    _Atomic int running = 1;
    uint64_t before, event, after, end = jb_clock_now_ns() + 2000000000;

    for (int i = 0; i < OTHERS; i++)
        ck_assert_int_eq(pthread_create(&others[i], NULL, interrupt_others, (void *)&running), 0);
    do {
        before = jb_clock_now_ns();
        event = jbi_clock_event_ns();
        after = jb_clock_now_ns();
        ck_assert_uint_ge(event + SLACK_NS, before);
        ck_assert_uint_le(event, after + SLACK_NS);
    } while (after < end);
    atomic_store(&running, 0);
    for (int i = 0; i < OTHERS; i++)
        pthread_join(others[i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tc = suite_case(suite, "base");

    tcase_add_test(tc, test_every_code_has_a_name_and_a_sentence);
    tcase_add_test(tc, test_numbers_of_codes_never_change);
    tcase_add_test(tc, test_error_detail_is_cut_not_overrun);
    tcase_add_test(tc, test_version_text_and_number_agree);
    tcase_add_test(tc, test_log_is_silent_until_asked);
    tcase_add_test(tc, test_clocks_go_forward);
    tcase_add_test(tc, test_event_clock_keeps_to_the_kernels);
    return suite_run(suite);
}
