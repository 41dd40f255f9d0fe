/*
 * The two ledgers of graphics memory: what each case comes to, and the law over random ones.
 */
#include "support/draw.h"
#include "support/suite.h"

enum { CLAIMS = 6, PROCESSES = 8 };

static jb_gpu_reading reading(uint64_t total, uint64_t used)
{
    jb_gpu_reading r = {.size = sizeof r, .total_bytes = total, .used_bytes = used};

    r.is_complete = 1;
    return r;
}

static jb_vram_books weigh(const jb_gpu_reading *r, const jb_gpu_process *p, uint32_t n_processes,
                           jb_vram_claim *c, uint32_t n_claims)
{
    jb_vram_books b = {.size = sizeof b};

    ck_assert_int_eq(jb_vram_weigh(r, p, n_processes, c, n_claims, &b), 0);
    return b;
}

START_TEST(test_use_within_a_promise_counts_once)
{
    jb_gpu_reading r = reading(1000, 300);
    jb_gpu_process p[] = {{.pid = 10, .used_bytes = 250}};
    jb_vram_claim c[] = {{.pid = 10, .reserved_bytes = 400}};
    jb_vram_books b = weigh(&r, p, 1, c, 1);

    ck_assert_uint_eq(b.foreign_bytes, 50);
    ck_assert_uint_eq(b.overuse_bytes, 0);
    ck_assert_uint_eq(b.withheld_bytes, 50);
    ck_assert_uint_eq(c[0].observed_bytes, 250);
    ck_assert_uint_eq(jb_vram_room(&b, 1000, 100), 1000 - 400 - 50 - 100);
}
END_TEST

START_TEST(test_foreign_processes_count)
{
    jb_gpu_reading r = reading(1000, 700);
    jb_gpu_process p[] = {{.pid = 10, .used_bytes = 100}, {.pid = 99, .used_bytes = 600}};
    jb_vram_claim c[] = {{.pid = 10, .reserved_bytes = 300}};
    jb_vram_books b = weigh(&r, p, 2, c, 1);

    ck_assert_uint_eq(b.foreign_bytes, 600);
    ck_assert_uint_eq(jb_vram_room(&b, 1000, 0), 100);
    ck_assert_uint_eq(jb_vram_room(&b, 1000, 100), 0);
    ck_assert_uint_eq(jb_vram_room(&b, 1000, 5000), 0);
}
END_TEST

START_TEST(test_overuse_counts_beside_the_promise)
{
    jb_gpu_reading r = reading(1000, 500);
    jb_gpu_process p[] = {{.pid = 10, .used_bytes = 500}};
    jb_vram_claim c[] = {{.pid = 10, .reserved_bytes = 300}, {.pid = 11, .reserved_bytes = 100}};
    jb_vram_books b = weigh(&r, p, 1, c, 2);

    ck_assert_uint_eq(b.overuse_bytes, 200);
    ck_assert_uint_eq(jb_vram_room(&b, 1000, 0), 400);
}
END_TEST

START_TEST(test_unknown_use_is_laid_to_promises_first)
{
    jb_gpu_reading r = reading(1000, 500);
    jb_gpu_process p[] = {{.pid = 10, .used_bytes = UINT64_MAX},
                          {.pid = 99, .used_bytes = UINT64_MAX}};
    jb_vram_claim c[] = {{.pid = 10, .reserved_bytes = 300}, {.pid = 11, .reserved_bytes = 100}};
    jb_vram_books b = weigh(&r, p, 2, c, 2);

    /* 11 has nothing on it, for the list is complete; so 200 belong to somebody else. */
    ck_assert_uint_eq(c[0].observed_bytes, 300);
    ck_assert_uint_eq(c[1].observed_bytes, 0);
    ck_assert_uint_eq(b.foreign_bytes, 200);
}
END_TEST

START_TEST(test_without_a_list_any_claim_may_be_the_user)
{
    jb_gpu_reading r = reading(1000, 500);
    jb_vram_claim c[] = {{.pid = 10, .reserved_bytes = 300}, {.pid = 0, .reserved_bytes = 100}};
    jb_vram_books b;

    r.is_complete = 0;
    b = weigh(&r, NULL, 0, c, 2);
    ck_assert_uint_eq(b.foreign_bytes, 100);
    ck_assert_uint_eq(jb_vram_room(&b, 1000, 0), 500);
}
END_TEST

START_TEST(test_who_is_no_process_here_has_others_work_for_it)
{
    jb_gpu_reading r = reading(1000, 600);
    jb_gpu_process p[] = {{.pid = 10, .used_bytes = 200}, {.pid = 99, .used_bytes = 400}};
    jb_vram_claim c[] = {{.pid = 10, .reserved_bytes = 300}, {.pid = 0, .reserved_bytes = 250}};
    jb_vram_books b = weigh(&r, p, 2, c, 2);

    ck_assert_uint_eq(c[1].observed_bytes, 250);
    ck_assert_uint_eq(b.foreign_bytes, 150);
    ck_assert_uint_eq(jb_vram_room(&b, 1000, 0), 300);
}
END_TEST

START_TEST(test_a_lost_gpu_promises_nothing_and_a_silent_one_what_is_left)
{
    jb_gpu_reading r = reading(1000, UINT64_MAX);
    jb_vram_claim c[] = {{.pid = 10, .reserved_bytes = 300}};
    jb_vram_books b;

    r.state = JB_GPU_SILENT;
    b = weigh(&r, NULL, 0, c, 1);
    ck_assert_uint_eq(b.is_blind, 1);
    ck_assert_uint_eq(jb_vram_room(&b, 900, 0), 600);
    r.state = JB_GPU_LOST;
    b = weigh(&r, NULL, 0, c, 1);
    ck_assert_uint_eq(jb_vram_room(&b, 900, 0), 0);
}
END_TEST

START_TEST(test_a_gpu_smaller_than_it_was_said_to_be_counts_as_it_is)
{
    jb_gpu_reading r = reading(800, 0);
    jb_vram_books b = weigh(&r, NULL, 0, NULL, 0);

    ck_assert_uint_eq(jb_vram_room(&b, 1000, 0), 800);
    ck_assert_uint_eq(jb_vram_room(&b, 500, 0), 500);
    ck_assert_uint_eq(jb_vram_room(NULL, 500, 0), 0);
}
END_TEST

static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    return draw64(&seed) % below;
}

static uint64_t odd_amount(void)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2};

    return draw(50) == 0 ? odd[draw(5)] : draw(2000);
}

/* Covers both ledgers; and where use can be laid to nobody but claims, counts nothing twice. */
static bool law_holds(const jb_vram_books *b, bool is_all_ours)
{
    uint64_t taken = b->reserved_bytes + b->withheld_bytes, room = jb_vram_room(b, 1500, 10);
    uint64_t both = b->reserved_bytes + b->observed_bytes;

    if (taken < b->reserved_bytes)
        taken = UINT64_MAX;
    if (!b->is_blind && taken < b->observed_bytes)
        return false;
    if (is_all_ours && both >= b->reserved_bytes && taken > both)
        return false;
    return room == 0 || room + taken + 10 <= 1500;
}

/* One random case: does the law hold? */
static bool draw_case(void)
{
    jb_gpu_reading r = reading(odd_amount(), odd_amount());
    uint32_t n_processes = (uint32_t)draw(PROCESSES), n_claims = (uint32_t)draw(CLAIMS);
    jb_vram_books b = {.size = sizeof b};
    jb_gpu_process p[PROCESSES];
    jb_vram_claim c[CLAIMS];

    r.is_complete = (uint32_t)draw(2);
    for (uint32_t i = 0; i < n_processes; i++)
        p[i] = (jb_gpu_process){.pid = 10 + i, .used_bytes = odd_amount()};
    for (uint32_t i = 0; i < n_claims; i++)
        c[i] = (jb_vram_claim){.pid = 12 + i, .reserved_bytes = odd_amount()};
    if (jb_vram_weigh(&r, p, n_processes, c, n_claims, &b) != 0)
        return false;
    return law_holds(&b, !r.is_complete && n_processes == 0);
}

START_TEST(test_what_is_taken_covers_both_ledgers)
{
    int n_broken = 0;

    for (int step = 0; step < 1000000; step++)
        n_broken += !draw_case();
    ck_assert_int_eq(n_broken, 0);
}
END_TEST

START_TEST(test_wrong_arguments_are_refused)
{
    jb_gpu_reading r = reading(1000, 0);
    jb_vram_books b = {.size = sizeof b};

    ck_assert_int_eq(jb_vram_weigh(NULL, NULL, 0, NULL, 0, &b), JB_EINVAL);
    ck_assert_int_eq(jb_vram_weigh(&r, NULL, 1, NULL, 0, &b), JB_EINVAL);
    ck_assert_int_eq(jb_vram_weigh(&r, NULL, 0, NULL, 1, &b), JB_EINVAL);
    b.size = sizeof b + 1;
    ck_assert_int_eq(jb_vram_weigh(&r, NULL, 0, NULL, 0, &b), JB_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vram");
    TCase *tc = suite_case(suite, "vram");

    tcase_add_test(tc, test_use_within_a_promise_counts_once);
    tcase_add_test(tc, test_foreign_processes_count);
    tcase_add_test(tc, test_overuse_counts_beside_the_promise);
    tcase_add_test(tc, test_unknown_use_is_laid_to_promises_first);
    tcase_add_test(tc, test_without_a_list_any_claim_may_be_the_user);
    tcase_add_test(tc, test_who_is_no_process_here_has_others_work_for_it);
    tcase_add_test(tc, test_a_lost_gpu_promises_nothing_and_a_silent_one_what_is_left);
    tcase_add_test(tc, test_a_gpu_smaller_than_it_was_said_to_be_counts_as_it_is);
    tcase_add_test(tc, test_what_is_taken_covers_both_ledgers);
    tcase_add_test(tc, test_wrong_arguments_are_refused);
    return suite_run(suite);
}
