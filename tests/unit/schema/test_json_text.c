/*
 * JSON text: what is one value, and how strings and foreign text are written.
 */
#include "schema/json_valid.h"
#include "schema/json_write.h"
#include "support/guard.h"
#include "support/suite.h"

static bool valid(const char *text)
{
    return jbi_json_valid(text, strlen(text), JBI_EXTRA_DEPTH_MAX, NULL);
}

static const char *const good[] = {
    "1",
    "-0.5e+3",
    "\"\"",
    "\"\\u00e9\\n\\/\"",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[1,[2,{\"a\":[]}]]",
    "{\"a\":1,\"b\":{\"\":null}}",
    " [ 1 , 2 ]\t\r\n",
    "\"\xc3\xa9\"",
    "{\"a\":{\"a\":{\"a\":[[]]}}}",
};

START_TEST(test_one_value_is_valid)
{
    ck_assert_msg(valid(good[_i]), "%s", good[_i]);
}
END_TEST

static const char *const bad[] = {
    "",           " ",           "1 2",      "[1,]",    "[,1]",  "{\"a\"}",   "{\"a\":}",  "{a:1}",
    "[1",         "]",           "[}",       "{]",      "nul",   "truex",     "\"",        "\"\n\"",
    "\"\\x\"",    "\"\\u12g4\"", "\"\\",     "01",      "+1",    "Infinity",  "NaN",       "[1]]",
    "{\"a\":1,}", "{,}",         "\"\xff\"", "'a'",     "1}",    "[1}",       "{\"a\":1]", "--1",
    "{\"a\" 1}",  "[1 2]",       "/**/1",    "\"\\u12", "{1:2}", "1,\"x\":2",
};

START_TEST(test_anything_else_is_not)
{
    ck_assert_msg(!valid(bad[_i]), "%s", bad[_i]);
}
END_TEST

START_TEST(test_a_value_cut_anywhere_is_not)
{
    static const char text[] = "{\"a\":[1,true,\"x\\u00e9\\\\\",{}],\"b\":null}";

    ck_assert(valid(text));
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct guard g = guard_copy(text, n);

        ck_assert(!jbi_json_valid((char *)g.data, n, JBI_EXTRA_DEPTH_MAX, NULL));
        guard_free(&g);
    }
}
END_TEST

START_TEST(test_depth_has_an_end)
{
    static char text[2000];

    memset(text, '[', 1000);
    memset(text + 1000, ']', 1000);
    ck_assert(jbi_json_valid(text + 744, 512, 256, NULL));
    ck_assert(!jbi_json_valid(text + 743, 514, 256, NULL));
    ck_assert(jbi_json_valid(text + 488, 1024, JBI_JSON_DEPTH_MAX, NULL));
    ck_assert(!jbi_json_valid(text, 2000, JBI_JSON_DEPTH_MAX, NULL));
}
END_TEST

START_TEST(test_white_space_outside_strings_is_told)
{
    bool has_space = true;

    ck_assert(jbi_json_valid("[\"a b\"]", 7, 8, &has_space) && !has_space);
    ck_assert(jbi_json_valid("[1, 2]", 6, 8, &has_space) && has_space);
}
END_TEST

static jbi_json_out out_of(char *buf, size_t cap_bytes)
{
    return (jbi_json_out){.buf = buf, .cap_bytes = cap_bytes};
}

static const struct {
    const char *in, *out;
} strings[] = {
    {"", "\"\""},
    {"plain text of more than eight bytes", "\"plain text of more than eight bytes\""},
    {"q\"b\\s/", "\"q\\\"b\\\\s/\""},
    {"\b\t\n\v\f\r\x01\x1f\x7f", "\"\\b\\t\\n\\u000b\\f\\r\\u0001\\u001f\x7f\""},
    {"1234567\"", "\"1234567\\\"\""},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 end", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 end\""},
    {"12345678\xc3\xa9", "\"12345678\xc3\xa9\""},
};

START_TEST(test_strings_are_escaped)
{
    char buf[200];
    jbi_json_out out = out_of(buf, sizeof buf);

    ck_assert(jbi_json_put_string(&out, strings[_i].in, strlen(strings[_i].in)));
    ck_assert_uint_eq(out.len_bytes, strlen(strings[_i].out));
    ck_assert_mem_eq(buf, strings[_i].out, out.len_bytes);
    ck_assert(jbi_json_valid(buf, out.len_bytes, 1, NULL));
}
END_TEST

/* Every byte at every place of a word: the fast path misses nothing. */
START_TEST(test_every_byte_at_every_place_is_seen)
{
    for (int byte = 0; byte < 128; byte++) {
        for (int place = 0; place < 17; place++) {
            char text[17], buf[200];
            jbi_json_out out = out_of(buf, sizeof buf);

            memset(text, 'a', sizeof text);
            text[place] = (char)byte;
            ck_assert(jbi_json_put_string(&out, text, sizeof text));
            ck_assert(jbi_json_valid(buf, out.len_bytes, 1, NULL));
            ck_assert((out.len_bytes > 19) == (byte < 0x20 || byte == '"' || byte == '\\'));
        }
    }
}
END_TEST

START_TEST(test_text_that_is_not_utf8_is_refused)
{
    char buf[64];
    jbi_json_out out = out_of(buf, sizeof buf);

    ck_assert(!jbi_json_put_string(&out, "abc\xff", 4));
    ck_assert(!jbi_json_put_value(&out, "\xc3", 1));
}
END_TEST

static const struct {
    const char *in, *out;
} values[] = {
    {"[1,2]", "[1,2]"},
    {" { \"a b\" : [ 1 , \"\\\" \" ] }\n", "{\"a b\":[1,\"\\\" \"]}"},
    {"1,\"admin\":true", "\"1,\\\"admin\\\":true\""},
    {"", "\"\""},
    {"NaN", "\"NaN\""},
};

START_TEST(test_foreign_text_cannot_leave_its_place)
{
    char buf[100];
    jbi_json_out out = out_of(buf, sizeof buf);

    ck_assert(jbi_json_put_value(&out, values[_i].in, strlen(values[_i].in)));
    ck_assert_uint_eq(out.len_bytes, strlen(values[_i].out));
    ck_assert_mem_eq(buf, values[_i].out, out.len_bytes);
}
END_TEST

START_TEST(test_no_byte_is_written_past_the_room)
{
    static const char text[] = "some text \"with\" escapes \x01";

    for (size_t cap = 0; cap < 40; cap++) {
        struct guard g = guard_alloc(cap);
        jbi_json_out out = out_of((char *)g.data, cap);

        ck_assert(jbi_json_put_string(&out, text, sizeof text - 1));
        ck_assert_uint_eq(out.len_bytes, sizeof text - 1 + 2 + 2 + 5);
        guard_free(&g);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema json text");
    TCase *tc = suite_case(suite, "valid"), *write = suite_case(suite, "write");

    tcase_add_loop_test(tc, test_one_value_is_valid, 0, sizeof good / sizeof good[0]);
    tcase_add_loop_test(tc, test_anything_else_is_not, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, test_a_value_cut_anywhere_is_not);
    tcase_add_test(tc, test_depth_has_an_end);
    tcase_add_test(tc, test_white_space_outside_strings_is_told);
    tcase_add_loop_test(write, test_strings_are_escaped, 0, sizeof strings / sizeof strings[0]);
    tcase_add_test(write, test_every_byte_at_every_place_is_seen);
    tcase_add_test(write, test_text_that_is_not_utf8_is_refused);
    tcase_add_loop_test(write, test_foreign_text_cannot_leave_its_place, 0,
                        sizeof values / sizeof values[0]);
    tcase_add_test(write, test_no_byte_is_written_past_the_room);
    return suite_run(suite);
}
