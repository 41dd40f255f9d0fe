/* Laws of the id window and of its hash. */
#include "hsuite.h"

#include "host/service/dedupe.h"

#include <stdio.h>

static jbi_dedupe window;

static bool has_bytes(const char *id, size_t n)
{
    jbi_dedupe_entry entry;

    jbi_dedupe_read(&window, id, n, &entry);
    return jbi_dedupe_has(&window, &entry);
}

static void add_bytes(const char *id, size_t n)
{
    jbi_dedupe_entry entry;

    jbi_dedupe_read(&window, id, n, &entry);
    jbi_dedupe_add(&window, &entry);
}

static bool has(const char *id)
{
    return has_bytes(id, strlen(id));
}

static void add(const char *id)
{
    add_bytes(id, strlen(id));
}

static void add_number(unsigned n)
{
    char id[16];

    snprintf(id, sizeof(id), "id-%u", n);
    add(id);
}

START_TEST(test_an_added_id_is_found)
{
    ck_assert_int_eq(jbi_dedupe_init(&window, 4, &jbi_hmem_libc), 0);
    ck_assert(!has("a"));
    add("a");
    ck_assert(has("a"));
    ck_assert(!has("b"));
    jbi_dedupe_fini(&window);
}
END_TEST

START_TEST(test_the_oldest_id_leaves_a_full_window)
{
    jbi_dedupe_init(&window, 3, &jbi_hmem_libc);
    add("a");
    add("b");
    add("c");
    ck_assert(has("a"));
    add("d");
    ck_assert(!has("a"));
    ck_assert(has("b") && has("c") && has("d"));
    jbi_dedupe_fini(&window);
}
END_TEST

START_TEST(test_a_window_of_one_holds_the_last)
{
    jbi_dedupe_init(&window, 1, &jbi_hmem_libc);
    add("a");
    add("b");
    ck_assert(!has("a"));
    ck_assert(has("b"));
    jbi_dedupe_fini(&window);
}
END_TEST

START_TEST(test_many_rounds_keep_exactly_the_window)
{
    unsigned n_found = 0;

    jbi_dedupe_init(&window, 1000, &jbi_hmem_libc);
    for (unsigned i = 0; i < 10000; i++)
        add_number(i);
    for (unsigned i = 0; i < 10000; i++) {
        char id[16];

        snprintf(id, sizeof(id), "id-%u", i);
        ck_assert_int_eq(has(id), i >= 9000);
        n_found += has(id);
    }
    ck_assert_uint_eq(n_found, 1000);
    jbi_dedupe_fini(&window);
}
END_TEST

START_TEST(test_long_ids_that_differ_late_are_different)
{
    char a[300];
    char b[300];

    memset(a, 'x', sizeof(a));
    memcpy(b, a, sizeof(a));
    b[299] = 'y';
    jbi_dedupe_init(&window, 4, &jbi_hmem_libc);
    add_bytes(a, sizeof(a));
    ck_assert(has_bytes(a, sizeof(a)));
    ck_assert(!has_bytes(b, sizeof(b)));
    ck_assert(!has_bytes(a, sizeof(a) - 1));
    jbi_dedupe_fini(&window);
}
END_TEST

START_TEST(test_an_empty_id_is_no_id)
{
    jbi_dedupe_init(&window, 4, &jbi_hmem_libc);
    add("");
    ck_assert(!has(""));
    ck_assert(!has_bytes(NULL, 0));
    jbi_dedupe_fini(&window);
}
END_TEST

/* Vectors of the reference implementation: key 00..0f, input 00, 01, 02 … */
START_TEST(test_siphash_gives_the_reference_values)
{
    static const uint8_t expect_0[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                         0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    static const uint8_t expect_15[16] = {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11,
                                          0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9};
    const jbi_siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    uint8_t input[15];
    uint64_t hash[2];

    for (unsigned i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)i;
    jbi_siphash(&key, input, 0, hash);
    ck_assert_mem_eq(hash, expect_0, 16);
    jbi_siphash(&key, input, 15, hash);
    ck_assert_mem_eq(hash, expect_15, 16);
}
END_TEST

START_TEST(test_what_was_added_last_can_be_forgotten)
{
    ck_assert_int_eq(jbi_dedupe_init(&window, 4, &jbi_hmem_libc), 0);
    for (unsigned i = 0; i < 3; i++)
        add_number(i);
    for (unsigned n = 1; n < 12; n++) {
        jbi_dedupe_entry old[12];
        char name[3] = "a";

        for (unsigned i = 0; i < n; i++, name[0]++) {
            jbi_dedupe_entry id;

            jbi_dedupe_read(&window, name, 1, &id);
            jbi_dedupe_swap(&window, &id, &old[i]);
        }
        name[0]--;
        ck_assert(has(name) && has("id-0") == (n < 2));
        jbi_dedupe_undo(&window, old, n);
        ck_assert(has("id-0") && has("id-1") && has("id-2") && !has("a") && !has(name));
    }
    add_number(3);
    add_number(4);
    ck_assert(!has("id-0") && has("id-1") && has("id-2") && has("id-3") && has("id-4"));
    jbi_dedupe_fini(&window);
}
END_TEST

HSUITE_MAIN("dedupe", test_an_added_id_is_found, test_the_oldest_id_leaves_a_full_window,
            test_a_window_of_one_holds_the_last, test_many_rounds_keep_exactly_the_window,
            test_long_ids_that_differ_late_are_different, test_an_empty_id_is_no_id,
            test_siphash_gives_the_reference_values, test_what_was_added_last_can_be_forgotten)
