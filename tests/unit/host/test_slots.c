/* Laws of the lists of slots by token: the last token of a slot is found, and nothing else. */
#include "hsuite.h"

#include "host/coord/slots.h"

static jbi_slots slots;

static int64_t slot_of(uint64_t token)
{
    uint32_t slot;

    return jbi_slots_find(&slots, token, &slot) ? (int64_t)slot : -1;
}

START_TEST(test_a_token_is_found_where_it_was_put)
{
    ck_assert_int_eq(jbi_slots_init(&slots, 8, &jbi_hmem_libc), 0);
    jbi_slots_put(&slots, 1000, 7);
    jbi_slots_put(&slots, 1001, 0);
    ck_assert_int_eq(slot_of(1000), 7);
    ck_assert_int_eq(slot_of(1001), 0);
    ck_assert_int_eq(slot_of(1002), -1);
    ck_assert_int_eq(slot_of(0), -1);
    jbi_slots_fini(&slots, &jbi_hmem_libc);
}
END_TEST

START_TEST(test_a_slot_has_the_last_token_only)
{
    ck_assert_int_eq(jbi_slots_init(&slots, 1, &jbi_hmem_libc), 0);
    for (uint64_t token = 1; token <= 1000; token++) {
        jbi_slots_put(&slots, token, 0);
        jbi_slots_put(&slots, token, 0);
        ck_assert_int_eq(slot_of(token), 0);
        ck_assert_int_eq(slot_of(token - 1), -1);
    }
    jbi_slots_fini(&slots, &jbi_hmem_libc);
}
END_TEST

START_TEST(test_a_slot_that_is_none_is_not_written)
{
    jbi_slots_put(&slots, 1, 0);
    ck_assert_int_eq(slot_of(1), -1);
    ck_assert_int_eq(jbi_slots_init(&slots, 4, &jbi_hmem_libc), 0);
    jbi_slots_put(&slots, 1, 4);
    jbi_slots_put(&slots, 2, UINT32_MAX);
    jbi_slots_put(&slots, 0, 1);
    ck_assert_int_eq(slot_of(1), -1);
    ck_assert_int_eq(slot_of(2), -1);
    ck_assert_int_eq(slot_of(0), -1);
    jbi_slots_fini(&slots, &jbi_hmem_libc);
}
END_TEST

/* Against an array that is searched: slots are used again in any order, tokens jump. */
START_TEST(test_many_are_found_as_a_search_finds_them)
{
    enum { N = 300 };
    uint64_t model[N] = {0};
    uint64_t token = UINT64_C(1) << 60;
    uint32_t random = 1;

    ck_assert_int_eq(jbi_slots_init(&slots, N, &jbi_hmem_libc), 0);
    for (int i = 0; i < 100000; i++) {
        random = random * 1664525 + 1013904223;
        token += 1 + (random >> 8) % 4 * UINT64_C(0x100000000);
        model[random >> 16 & 255] = token;
        jbi_slots_put(&slots, token, random >> 16 & 255);
    }
    for (uint32_t i = 0; i < N; i++)
        ck_assert_int_eq(slot_of(model[i]), model[i] ? (int64_t)i : -1);
    jbi_slots_fini(&slots, &jbi_hmem_libc);
}
END_TEST

static void *refuse_third(size_t n_bytes, void *ctx)
{
    int *n_left = ctx;

    return (*n_left)-- > 0 ? malloc(n_bytes) : NULL;
}

static void let_go(void *p, size_t n_bytes, void *ctx)
{
    free(p);
}

START_TEST(test_no_memory_leaves_nothing)
{
    int n_left;
    jb_alloc alloc = {.alloc = refuse_third, .free = let_go, .ctx = &n_left};

    n_left = _i;
    ck_assert_int_eq(jbi_slots_init(&slots, 4, &alloc), JB_ENOMEM);
    jbi_slots_put(&slots, 1, 0);
    ck_assert_int_eq(slot_of(1), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slots");
    TCase *tcase = tcase_create("slots");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, test_a_token_is_found_where_it_was_put);
    tcase_add_test(tcase, test_a_slot_has_the_last_token_only);
    tcase_add_test(tcase, test_a_slot_that_is_none_is_not_written);
    tcase_add_test(tcase, test_many_are_found_as_a_search_finds_them);
    tcase_add_loop_test(tcase, test_no_memory_leaves_nothing, 0, 3);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
