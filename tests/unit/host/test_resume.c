/* Laws of bodies published in part. */
#include "hsuite.h"

#include "host/service/resume.h"

#include <stdio.h>

static jbi_resume resume;

static uint32_t take(const char *body, uint64_t now_ns)
{
    return jbi_resume_take(&resume, body, strlen(body), now_ns);
}

static void put(const char *body, uint32_t n_done, uint64_t now_ns)
{
    jbi_resume_put(&resume, body, strlen(body), n_done, now_ns);
}

START_TEST(test_a_body_is_found_once)
{
    put("body", 7, 1);
    ck_assert_uint_eq(take("other", 2), 0);
    ck_assert_uint_eq(take("body", 2), 7);
    ck_assert_uint_eq(take("body", 2), 0);
    ck_assert_uint_eq(resume.n_used, 0);
}
END_TEST

START_TEST(test_an_old_body_is_forgotten)
{
    put("body", 7, 1);
    ck_assert_uint_eq(take("body", 2 + JBI_RESUME_NS), 0);
    ck_assert_uint_eq(resume.n_used, 0);
}
END_TEST

START_TEST(test_the_oldest_goes_when_all_entries_are_used)
{
    char body[16];

    for (int i = 0; i <= JBI_RESUME_ENTRIES; i++) {
        snprintf(body, sizeof(body), "body %d", i);
        put(body, (uint32_t)i + 1, (uint64_t)i + 1);
    }
    ck_assert_uint_eq(resume.n_used, JBI_RESUME_ENTRIES);
    ck_assert_uint_eq(take("body 0", 100), 0);
    for (int i = 1; i <= JBI_RESUME_ENTRIES; i++) {
        snprintf(body, sizeof(body), "body %d", i);
        ck_assert_uint_eq(take(body, 100), (uint32_t)i + 1);
    }
    ck_assert_uint_eq(resume.n_used, 0);
}
END_TEST

HSUITE_MAIN("resume", test_a_body_is_found_once, test_an_old_body_is_forgotten,
            test_the_oldest_goes_when_all_entries_are_used)
