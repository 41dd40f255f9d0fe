/* Laws of the walk over JSON. */
#include "hsuite.h"

#include "host/text/jwalk.h"

#include <stdio.h>

/* All of an object or list as "key:value;" each, and how it ended; -2: it is none. */
static int walk(const char *text, char to[256])
{
    size_t n = strlen(text);
    char *exact = malloc(n + 1);
    jbi_slice key, value;
    jbi_jwalk w;
    int rc;

    memcpy(exact, text, n);
    to[0] = '\0';
    if (!jbi_jwalk_object((jbi_slice){exact, n}, &w) && !jbi_jwalk_list((jbi_slice){exact, n}, &w))
        rc = -2;
    else
        while ((rc = jbi_jwalk_next(&w, &key, &value)) > 0)
            sprintf(to + strlen(to), "%.*s:%.*s;", (int)key.len, key.data, (int)value.len,
                    value.data);
    free(exact);
    return rc;
}

START_TEST(test_members_and_elements_are_slices_of_the_text)
{
    char got[256];

    ck_assert_int_eq(walk(" { \"a\" : 1 , \"b\":{\"x\":[1,\"}\"]},\"c\":\"\\\"]\" } ", got), 0);
    ck_assert_str_eq(got, "a:1;b:{\"x\":[1,\"}\"]};c:\"\\\"]\";");
    ck_assert_int_eq(walk("[1,[2,3],\"x\",null,{}]", got), 0);
    ck_assert_str_eq(got, ":1;:[2,3];:\"x\";:null;:{};");
    ck_assert_int_eq(walk("{}", got), 0);
    ck_assert_int_eq(walk("[]", got), 0);
}
END_TEST

START_TEST(test_what_has_no_end_or_too_much_is_refused)
{
    const char *const wrong[] = {"{",         "[",       "{\"a\"",    "{\"a\":",   "{\"a\":1",
                                 "{\"a\":1,", "{a:1}",   "{\"a\" 1}", "{\"a\":}",  "[1 2]",
                                 "[,1]",      "[1",      "[\"x]",     "{\"a\":[}", "{} x",
                                 "[] []",     "{\"\\\"", "[\"\\",     "{,}",       "{\"a\":1}}"};
    char got[256];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        ck_assert_msg(walk(wrong[i], got) == -1, "%s", wrong[i]);
    ck_assert_int_eq(walk("7", got), -2);
    ck_assert_int_eq(walk("", got), -2);
}
END_TEST

START_TEST(test_a_key_is_a_name_of_the_proto_file_or_its_camel)
{
    ck_assert(jbi_jwalk_is(jbi_slice_str("max_unacked"), "max_unacked"));
    ck_assert(jbi_jwalk_is(jbi_slice_str("maxUnacked"), "max_unacked"));
    ck_assert(jbi_jwalk_is(jbi_slice_str("allOrNone"), "all_or_none"));
    ck_assert(!jbi_jwalk_is(jbi_slice_str("allornone"), "all_or_none"));
    ck_assert(!jbi_jwalk_is(jbi_slice_str("max_unacke"), "max_unacked"));
    ck_assert(!jbi_jwalk_is(jbi_slice_str("max_unackedx"), "max_unacked"));
    ck_assert(!jbi_jwalk_is(jbi_slice_str("max"), "max_unacked"));
    ck_assert(!jbi_jwalk_is(jbi_slice_str(""), "max_unacked"));
}
END_TEST

START_TEST(test_a_number_is_whole_and_of_64_bits)
{
    const char *const wrong[] = {"",     "-1", "1.0",   "1e3", "01", "18446744073709551616",
                                 "\"\"", "\"", "\"x\"", "true"};
    uint64_t n = 7;
    bool is;

    ck_assert(jbi_jwalk_u64(jbi_slice_str("18446744073709551615"), &n) && n == UINT64_MAX);
    ck_assert(jbi_jwalk_u64(jbi_slice_str("\"12\""), &n) && n == 12);
    ck_assert(jbi_jwalk_u64(jbi_slice_str("0"), &n) && n == 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        ck_assert_msg(!jbi_jwalk_u64(jbi_slice_str(wrong[i]), &n), "%s", wrong[i]);
    ck_assert(jbi_jwalk_bool(jbi_slice_str("true"), &is) && is);
    ck_assert(jbi_jwalk_bool(jbi_slice_str("false"), &is) && !is);
    ck_assert(!jbi_jwalk_bool(jbi_slice_str("1"), &is));
}
END_TEST

HSUITE_MAIN("jwalk", test_members_and_elements_are_slices_of_the_text,
            test_what_has_no_end_or_too_much_is_refused,
            test_a_key_is_a_name_of_the_proto_file_or_its_camel,
            test_a_number_is_whole_and_of_64_bits)
