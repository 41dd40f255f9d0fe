/*
 * The headers in which a service says what is left of its limits.
 */
#include "jimbot/rate.h"

#include "support/suite.h"

#define SECOND UINT64_C(1000000000)
#define NOW    (UINT64_C(1767225600) * SECOND) /* 2026-01-01T00:00:00Z */

static jb_rate_answer answer;

static int read_header(const char *name, const char *value)
{
    return jb_rate_answer_read(&answer, name, strlen(name), value, strlen(value), NOW);
}

static void begin(void)
{
    memset(&answer, 0, sizeof answer);
}

START_TEST(test_what_is_left_is_read_by_subject)
{
    ck_assert_int_eq(read_header("anthropic-ratelimit-requests-limit", "50"), 1);
    ck_assert_int_eq(read_header("Anthropic-RateLimit-Output-Tokens-Remaining", " 1200 "), 1);
    ck_assert_int_eq(read_header("anthropic-ratelimit-input-tokens-limit", "30000"), 1);
    ck_assert_int_eq(read_header("anthropic-ratelimit-tokens-remaining", "0"), 1);
    ck_assert_uint_eq(answer.limit[JB_RATE_REQUESTS], 50);
    ck_assert_uint_eq(answer.remaining[JB_RATE_OUTPUT_TOKENS], 1200);
    ck_assert_uint_eq(answer.limit[JB_RATE_INPUT_TOKENS], 30000);
    ck_assert_uint_eq(answer.has, JB_ANSWER_LIMIT << JB_RATE_REQUESTS |
                                      JB_ANSWER_LIMIT << JB_RATE_INPUT_TOKENS |
                                      JB_ANSWER_REMAINING << JB_RATE_OUTPUT_TOKENS |
                                      JB_ANSWER_REMAINING << JB_RATE_TOKENS);
}
END_TEST

static uint64_t reset_of(const char *value)
{
    ck_assert_int_eq(read_header("anthropic-ratelimit-requests-reset", value), 1);
    return answer.reset_after_ns[JB_RATE_REQUESTS];
}

START_TEST(test_times_of_reset)
{
    ck_assert_uint_eq(reset_of("2026-01-01T00:00:17Z"), 17 * SECOND);
    ck_assert_uint_eq(reset_of("2026-01-01T00:00:00.25z"), SECOND / 4);
    ck_assert_uint_eq(reset_of("2026-01-01T00:00:00.0000000001Z"), 1);
    ck_assert_uint_eq(reset_of("2026-01-01T01:00:01+01:00"), SECOND);
    ck_assert_uint_eq(reset_of("2025-12-31T19:30:00-05:30"), 3600 * SECOND);
    ck_assert_uint_eq(reset_of("2026-03-01T00:00:00Z"), (31 + 28) * 86400 * SECOND);
    ck_assert_uint_eq(reset_of("2028-03-01T00:00:00Z"), (365 * 2 + 31 + 29) * 86400 * SECOND);
    ck_assert_uint_eq(reset_of("2025-12-31T23:59:59Z"), 0);
    ck_assert_uint_eq(reset_of("1970-01-01T00:00:00+23:59"), 0);
    ck_assert_uint_eq(reset_of("9999-12-31T23:59:59Z"), UINT64_MAX - NOW);
}
END_TEST

static uint64_t retry_of(const char *value)
{
    ck_assert_int_eq(read_header("Retry-After", value), 1);
    ck_assert_uint_eq(answer.has & JB_ANSWER_RETRY, JB_ANSWER_RETRY);
    return answer.retry_after_ns;
}

START_TEST(test_retry_after_in_seconds_and_as_a_date)
{
    ck_assert_uint_eq(retry_of("17"), 17 * SECOND);
    ck_assert_uint_eq(retry_of("0"), 0);
    ck_assert_uint_eq(retry_of("1.5"), 3 * SECOND / 2);
    ck_assert_uint_eq(retry_of("99999999999999999999999"), UINT64_MAX);
    ck_assert_uint_eq(retry_of("Thu, 01 Jan 2026 00:00:30 GMT"), 30 * SECOND);
    ck_assert_uint_eq(retry_of("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
}
END_TEST

START_TEST(test_other_headers_are_passed_over)
{
    ck_assert_int_eq(read_header("content-length", "12"), 0);
    ck_assert_int_eq(read_header("", ""), 0);
    ck_assert_int_eq(read_header("retry-after-all", "1"), 0);
    ck_assert_int_eq(read_header("anthropic-ratelimit-requests-resetlimit", "1"), 0);
    ck_assert_int_eq(read_header("anthropic-ratelimit-unified-status", "allowed"), 0);
    ck_assert_int_eq(jb_rate_answer_read(NULL, "a", 1, "b", 1, NOW), JB_EINVAL);
    ck_assert_uint_eq(answer.has, 0);
}
END_TEST

START_TEST(test_what_is_malformed_changes_nothing)
{
    static const char *const pairs[][2] = {
        {"retry-after", ""},
        {"retry-after", "-1"},
        {"retry-after", "1."},
        {"retry-after", "1s"},
        {"retry-after", "Thu, 1 Jan 2026 00:00:30 GMT"},
        {"retry-after", "Thu, 31 Jun 2026 00:00:30 GMT"},
        {"anthropic-ratelimit-requests-limit", "many"},
        {"anthropic-ratelimit-requests-limit", "1 2"},
        {"anthropic-ratelimit-tokens-reset", "2026-01-01"},
        {"anthropic-ratelimit-tokens-reset", "2026-01-01T24:00:00Z"},
        {"anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:00"},
    };
    jb_rate_answer empty = {.has = 0};

    ck_assert_int_eq(read_header(pairs[_i][0], pairs[_i][1]), JB_EPARSE);
    ck_assert_mem_eq(&answer, &empty, sizeof empty);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answer");
    TCase *tc = suite_case(suite, "answer");

    tcase_add_checked_fixture(tc, begin, NULL);
    tcase_add_test(tc, test_what_is_left_is_read_by_subject);
    tcase_add_test(tc, test_times_of_reset);
    tcase_add_test(tc, test_retry_after_in_seconds_and_as_a_date);
    tcase_add_test(tc, test_other_headers_are_passed_over);
    tcase_add_loop_test(tc, test_what_is_malformed_changes_nothing, 0, 11);
    return suite_run(suite);
}
