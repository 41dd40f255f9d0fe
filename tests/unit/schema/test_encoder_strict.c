/*
 * Strict reading is RFC 8259: what it takes and what it refuses, document by document.
 *
 * A document stands as the value of a member that the schema does not know (read into the event),
 * as the payload of an event whose type comes after it (leapt over, then read), and inside a batch
 * after an element that is no event (stepped over), and more. All of them must say the same.
 */
#include "encode.h"

#include <stdio.h>

/* A document with its length, so that it can have NUL bytes. */
struct document {
    const char *text;
    size_t len_bytes;
};

#define D(text)                                                                                    \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

static const struct document taken[] = {
    /* numbers */
    D("0"),
    D("-0"),
    D("0.0"),
    D("-0.0e-0"),
    D("10"),
    D("-1"),
    D("1e5"),
    D("1E5"),
    D("1e+5"),
    D("1e-5"),
    D("1.5E+10"),
    D("0e0"),
    D("0E+00"),
    D("1e00005"),
    D("123456789012345678901234567890"),
    D("-9223372036854775809"),
    D("18446744073709551616"),
    D("0.000000000000000000000000000000000000000000000000000000000000000000001"),
    D("4.9406564584124654e-324"),
    D("1.7976931348623157e308"),
    D("1e309"),
    D("-1e309"),
    D("1e-400"),
    D("0e999999999999"),
    D("1e99999999999999999999"),
    /* strings */
    D("\"\""),
    D("\"a\""),
    D("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    D("\"\\u0000\""),
    D("\"\\u00e9\\u00E9\\uABCD\\uabcd\""),
    D("\"\\ud83d\\ude00\""),
    D("\"\\uD83D\\uDE00\\uD83D\\uDE00\""),
    D("\"\\uDBFF\\uDFFF\""),
    D("\"\\uFFFE\\uFFFF\\uFDD0\""),
    D("\"\\\\u0041\""),
    D("\"\\\\\\\"\""),
    D("\"/\""),
    D("\"\x7f\""),
    D("\" \""),
    D("\"\xc2\x80\""),
    D("\"\xdf\xbf\""),
    D("\"\xe0\xa0\x80\""),
    D("\"\xed\x9f\xbf\""),
    D("\"\xee\x80\x80\""),
    D("\"\xef\xbb\xbf\""),
    D("\"\xef\xbf\xbe\""),
    D("\"\xef\xbf\xbf\""),
    D("\"\xe2\x80\xa8\xe2\x80\xa9\""),
    D("\"\xf0\x90\x80\x80\""),
    D("\"\xf4\x8f\xbf\xbf\""),
    /* words, containers, space */
    D("true"),
    D("false"),
    D("null"),
    D("[]"),
    D("{}"),
    D("[[]]"),
    D("[[],[[]],{}]"),
    D("[null,true,false,0,\"\",{},[]]"),
    D("{\"\":0}"),
    D("{\"\":{\"\":{\"\":[]}}}"),
    D("{\"a\":1,\"A\":2}"),
    D("{\"\\u0000\":1}"),
    D("{\"a\":{},\"b\":[]}"),
    D(" [ ] "),
    D("\t[\n1\r,\t2 ]\r\n"),
    D(" { \"a\" : 1 , \"b\" : [ ] } "),
    D("{\"a\":1,\"a\":2}"),
    D("[1,1]"),
};

static const struct document refused_ones[] = {
    /* numbers */
    D("+1"),
    D("-"),
    D("--1"),
    D("+-1"),
    D("01"),
    D("-01"),
    D("00"),
    D("-00.5"),
    D("1."),
    D("-1."),
    D(".5"),
    D("-.5"),
    D("1.e5"),
    D("1e"),
    D("1e+"),
    D("1E-"),
    D("1e5.5"),
    D("1ee5"),
    D("1.5.5"),
    D("0x10"),
    D("1_000"),
    D("1 000"),
    D("0b1"),
    D("1f"),
    D("- 1"),
    D("1e 5"),
    D("\xef\xbc\x91"), /* a wide digit */
    D("NaN"),
    D("nan"),
    D("-nan"),
    D("inf"),
    D("-inf"),
    D("Inf"),
    D("Infinity"),
    D("-Infinity"),
    D("+Infinity"),
    /* strings */
    D("\""),
    D("\"a"),
    D("\"\\\""),
    D("\"\\"),
    D("'a'"),
    D("\xe2\x80\x9c"
      "a\xe2\x80\x9d"),
    D("a"),
    D("\"\\a\""),
    D("\"\\'\""),
    D("\"\\x41\""),
    D("\"\\0\""),
    D("\"\\U0041\""),
    D("\"\\u\""),
    D("\"\\u1\""),
    D("\"\\u12\""),
    D("\"\\u123\""),
    D("\"\\u123g\""),
    D("\"\\u 123\""),
    D("\"\\u+123\""),
    D("\"\\uD800\""),
    D("\"\\uD800x\""),
    D("\"\\uD800\\n\""),
    D("\"\\uD800\\uD800\""),
    D("\"\\uD800\\u0041\""),
    D("\"\\uD800\\u\""),
    D("\"\\uDC00\""),
    D("\"\\uDC00\\uD800\""),
    D("\"\\uDFFF\""),
    D("\"\n\""),
    D("\"\t\""),
    D("\"\r\""),
    D("\"\x1f\""),
    D("\"\0\""),
    D("\"a\0b\""),
    D("\"\\\n\""),
    D("\"\\\0\""),
    D("\"\x80\""),
    D("\"\xbf\""),
    D("\"\xc0\xaf\""),
    D("\"\xc1\xbf\""),
    D("\"\xc3\""),
    D("\"\xc3\\u0041\""),
    D("\"\xe0\x9f\xbf\""),
    D("\"\xe2\x82\""),
    D("\"\xed\xa0\x80\""),
    D("\"\xed\xbf\xbf\""),
    D("\"\xed\xa0\x80\xed\xb0\x80\""),
    D("\"\xf0\x8f\xbf\xbf\""),
    D("\"\xf0\x9f\x98\""),
    D("\"\xf4\x90\x80\x80\""),
    D("\"\xf5\x80\x80\x80\""),
    D("\"\xf8\x88\x80\x80\x80\""),
    D("\"\xfe\""),
    D("\"\xff\""),
    D("{\"\xff\":1}"),
    D("{\"\n\":1}"),
    D("{\"\\uD800\":1}"),
    /* words, containers, space */
    D(""),
    D("True"),
    D("TRUE"),
    D("tru"),
    D("truee"),
    D("nul"),
    D("nulll"),
    D("None"),
    D("undefined"),
    D("["),
    D("[1"),
    D("[1,"),
    D("[,1]"),
    D("[1,,2]"),
    D("[1,]"),
    D("[1 2]"),
    D("[1;2]"),
    D("[1:2]"),
    D("[1}"),
    D("[\"a\":1]"),
    D("{1}"),
    D("{"),
    D("{\"a\""),
    D("{\"a\":"),
    D("{\"a\":1"),
    D("{\"a\":1,"),
    D("{\"a\":1,}"),
    D("{,}"),
    D("{,\"a\":1}"),
    D("{\"a\":1,,\"b\":2}"),
    D("{\"a\"}"),
    D("{\"a\",1}"),
    D("{\"a\" 1}"),
    D("{\"a\"::1}"),
    D("{\"a\":1]"),
    D("{\"a\":1 \"b\":2}"),
    D("{\"a\":1;\"b\":2}"),
    D("{a:1}"),
    D("{'a':1}"),
    D("{1:1}"),
    D("{null:1}"),
    D("{[]:1}"),
    D("{\"a\":}"),
    D("{:1}"),
    D("[1]]"),
    D("1 2"),
    D("[] []"),
    D("\"a\" \"b\""),
    D("\"a\"b"),
    D("[1]x"),
    D("1,"),
    D("// a\n1"),
    D("/* a */1"),
    D("1/**/"),
    D("#\n1"),
    D("\xef\xbb\xbf"
      "1"),
    D("\xff\xfe"
      "1"),
    D("\x0b"
      "1"),
    D("\x0c"
      "1"),
    D("1\xc2\xa0"),
    D("\xe2\x80\xa8"
      "1"),
    D("\0"),
    D("1\0"),
    D("\0"
      "1"),
    D("[1\0,2]"),
    D("[\x1a]"),
    D("=1"),
    D("\\u0031"),
    D("1\\n"),
};

static void strict_open(void)
{
    jb_encoder_opts opts;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.flags = JB_ENCODER_STRICT;
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, &err), 0);
}

/* The document between two texts, read; returns the code. */
static int read_between(const char *before, struct document d, const char *after)
{
    char text[512];
    size_t head = strlen(before), tail = strlen(after);
    int rc;

    ck_assert_uint_lt(head + d.len_bytes + tail, sizeof text);
    memcpy(text, before, head);
    memcpy(text + head, d.text, d.len_bytes);
    memcpy(text + head + d.len_bytes, after, tail);
    jb_error_init(&err);
    rc = jb_encoder_batch_begin(enc, text, head + d.len_bytes + tail, &err);
    ck_assert_int_eq(rc, 0);
    do {
        rc = jb_encoder_batch_next(enc, &made, &err);
    } while (rc == 1 || rc == JB_EEVENT);
    return rc;
}

static void is_read_everywhere(struct document d, int rc)
{
    ck_assert_msg(read_between("{\"type\":\"X\",\"a\":", d, "}") == rc, "member: %s (%s)", d.text,
                  err.msg);
    ck_assert_msg(read_between("{\"payload\":", d, ",\"type\":\"X\"}") == rc, "payload: %s (%s)",
                  d.text, err.msg);
    ck_assert_msg(read_between("{\"payload\":", d, ",\"payload\":1,\"type\":\"X\"}") == rc,
                  "replaced: %s (%s)", d.text, err.msg);
    ck_assert_msg(read_between("[1,{\"no_event\":", d, "}]") == rc, "skipped: %s (%s)", d.text,
                  err.msg);
    ck_assert_msg(read_between("{\"x\":", d, ",\"events\":[]}") == rc, "envelope: %s (%s)", d.text,
                  err.msg);
    ck_assert_msg(read_between("{\"events\":[],\"x\":", d, "}") == rc, "tail: %s (%s)", d.text,
                  err.msg);
}

START_TEST(test_json_is_taken)
{
    is_read_everywhere(taken[_i], 0);
}
END_TEST

START_TEST(test_what_is_no_json_is_refused)
{
    is_read_everywhere(refused_ones[_i], JB_EPARSE);
}
END_TEST

/* The whole text of one event, where nothing stands around it. */
START_TEST(test_around_an_event)
{
    static const struct {
        struct document d;
        int rc;
    } texts[] = {
        {D("{\"type\":\"X\"}"), 0},
        {D(" \t\r\n{\"type\":\"X\"} \t\r\n"), 0},
        {D("\xef\xbb\xbf{\"type\":\"X\"}"), JB_EPARSE},
        {D("{\"type\":\"X\"}\0"), JB_EPARSE},
        {D("{\"type\":\"X\"}\x1a"), JB_EPARSE},
        {D("{\"type\":\"X\"}{\"type\":\"X\"}"), JB_EPARSE},
        {D("{\"type\":\"X\"}\n{\"type\":\"X\"}"), JB_EPARSE},
        {D("{\"type\":\"X\"},"), JB_EPARSE},
        {D("\0{\"type\":\"X\"}"), JB_EPARSE},
        {D("null"), JB_EEVENT},
        {D("1"), JB_EEVENT},
        {D("\"type\""), JB_EEVENT},
        {D("[{\"type\":\"X\"}]"), JB_EEVENT},
        {D("nul"), JB_EPARSE},
        {D("1 1"), JB_EPARSE},
        {D("\"\xff\""), JB_EPARSE},
        {D(""), JB_EPARSE},
        {D(" "), JB_EPARSE},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_msg(jb_encoder_json(enc, texts[i].d.text, texts[i].d.len_bytes, &made, &err) ==
                          texts[i].rc,
                      "%s", texts[i].d.text);
}
END_TEST

static int nested(int depth, bool is_closed)
{
    static char text[4096];
    size_t n = (size_t)sprintf(text, "{\"type\":\"X\",\"a\":");

    memset(text + n, '[', (size_t)depth);
    n += (size_t)depth;
    memset(text + n, ']', (size_t)depth);
    n += is_closed ? (size_t)depth : (size_t)depth - 1;
    text[n++] = '}';
    return jb_encoder_json(enc, text, n, &made, &err);
}

START_TEST(test_nesting_up_to_the_limit)
{
    ck_assert_int_eq(nested(63, true), 0);
    ck_assert_int_eq(nested(64, true), JB_EEVENT); /* JSON, but deeper than max_depth */
    ck_assert_int_eq(nested(63, false), JB_EPARSE);
    ck_assert_int_eq(nested(64, false), JB_EPARSE);
    ck_assert_int_eq(nested(1000, true), JB_EEVENT);
    ck_assert_int_eq(nested(1000, false), JB_EPARSE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encoder strict");
    TCase *tc = suite_case(s, "strict");

    tcase_add_checked_fixture(tc, strict_open, encoder_close);
    tcase_add_loop_test(tc, test_json_is_taken, 0, (int)(sizeof taken / sizeof taken[0]));
    tcase_add_loop_test(tc, test_what_is_no_json_is_refused, 0,
                        (int)(sizeof refused_ones / sizeof refused_ones[0]));
    tcase_add_test(tc, test_around_an_event);
    tcase_add_test(tc, test_nesting_up_to_the_limit);
    return suite_run(s);
}
