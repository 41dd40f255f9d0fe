/*
 * What the encoder refuses, where it says the fault is, and what a batch makes of a bad element.
 */
#include "encode.h"

#include <stdio.h>

static const struct {
    const char *text;
    int code;
    unsigned offset;
    const char *msg;
} faults[] = {
    {"", JB_EPARSE, 0, "found the end"},
    {"  ", JB_EPARSE, 2, "found the end"},
    {"{", JB_EPARSE, 1, "expected a key"},
    {"{\"type\"", JB_EPARSE, 7, "expected ':'"},
    {"{\"type\":\"X\"", JB_EPARSE, 11, "expected ',' or '}'"},
    {"{\"type\":\"X\",}", JB_EPARSE, 12, "expected a key"},
    {"{\"type\":\"X\"} x", JB_EPARSE, 13, "expected the end of the text, found 'x'"},
    {"{\"type\":X}", JB_EPARSE, 8, "expected a value, found 'X'"},
    {"{\"type\":\"X\",\"a\":01}", JB_EPARSE, 17, "found '1'"},
    {"{\"type\":\"X\",\"a\":+1}", JB_EPARSE, 16, "expected a value"},
    {"{\"type\":\"X\",\"a\":1.}", JB_EPARSE, 16, "a number is malformed"},
    {"{\"type\":\"X\",\"a\":tru}", JB_EPARSE, 16, "expected a value"},
    {"{\"type\":\"X\",\"a\":[1 2]}", JB_EPARSE, 19, "expected ',' or ']'"},
    {"{\"type\":\"X\",\"a\":[1,]}", JB_EPARSE, 19, "expected a value"},
    {"{\"type\":\"X\",\"a\":\"\\q\"}", JB_EPARSE, 17, "no such escape"},
    {"{\"type\":\"X\",\"a\":\"\\u12g4\"}", JB_EPARSE, 19, "hex"},
    {"{\"type\":\"X\",\"a\":\"b}", JB_EPARSE, 19, "has no end"},
    {"{\"type\":\"X\",\"say \"hi\"\":1}", JB_EPARSE, 18, "expected ':' after a key"},
    {"{\"payload\":{\"a\":[}},\"type\":\"GAME_STATE\"}", JB_EPARSE, 17, "expected a value"},
    {"{\"payload\":{\"a\":1]},\"type\":\"GAME_STATE\"}", JB_EPARSE, 17, "expected ',' or '}'"},
    {"{\"payload\":{\"a\" 1}}", JB_EPARSE, 16, "expected ':'"},
    {"{\"payload\":1 2,\"type\":\"X\"}", JB_EPARSE, 13, "found '2'"},
    {"{\"payload\":[[[,\"type\":\"X\"}", JB_EPARSE, 14, "expected a value"},
    {"{\"type\":\"GAME_STATE\",\"payload\":{\"hand\":[{\"rank\":\"2\"},{\"rank\":?}]}}", JB_EPARSE,
     61, "payload.hand[1].rank: expected a value"},
    {"[]", JB_EEVENT, 0, "an event is an object"},
    {"7", JB_EEVENT, 0, "an event is an object"},
    {"\"x\"", JB_EEVENT, 0, "an event is an object"},
    {" {}", JB_EEVENT, 1, "`type`"},
    {"{\"type\":5}", JB_EEVENT, 0, "`type`"},
    {"{\"type\":\"\"}", JB_EEVENT, 0, "`type`"},
    {"{\"type\":null,\"payload\":{}}", JB_EEVENT, 0, "`type`"},
    {"[1,}", JB_EPARSE, 3, "expected a value"},
    {"{\"payload\":{\"a\":tru}}", JB_EPARSE, 16, "expected a value"},
};

START_TEST(test_fault_is_named_with_its_place)
{
    refused(faults[_i].text, faults[_i].code, faults[_i].offset, faults[_i].msg);
}
END_TEST

START_TEST(test_a_refused_text_leaves_the_result_alone)
{
    made.len_bytes = 4711;
    refused("{\"type\":", JB_EPARSE, 8, "expected a value");
    ck_assert_uint_eq(made.len_bytes, 4711);
    comes_back("{\"type\":\"X\"}");
}
END_TEST

static const char *const lenient_only[] = {
    "{\"type\":\"X\",\"a\":inf}",         "{\"type\":\"X\",\"a\":-nan}",
    "{\"type\":\"X\",\"a\":\"\n\"}",      "{\"type\":\"X\",\"a\":\"\xff\"}",
    "{\"type\":\"X\",\"a\":\"\\ud800\"}", "{\"payload\":[Infinity],\"type\":\"X\"}",
};

START_TEST(test_strict_refuses_what_lenient_repairs)
{
    jb_encoder_opts opts;
    jb_encoder *strict;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.flags = JB_ENCODER_STRICT;
    ck_assert_int_eq(jb_encoder_create(&opts, &strict, NULL), 0);
    ck_assert_int_eq(encode(lenient_only[_i]), 0);
    ck_assert_uint_gt(made.n_repairs, 0);
    ck_assert_int_eq(
        jb_encoder_json(strict, lenient_only[_i], strlen(lenient_only[_i]), &made, &err),
        JB_EPARSE);
    jb_encoder_destroy(strict);
}
END_TEST

START_TEST(test_too_large_an_event)
{
    jb_encoder_opts opts;
    jb_encoder *small;
    char text[300];

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.max_event_bytes = 100;
    ck_assert_int_eq(jb_encoder_create(&opts, &small, NULL), 0);
    snprintf(text, sizeof text, "{\"type\":\"X\",\"source\":\"%0200d\"}", 0);
    ck_assert_int_eq(jb_encoder_json(small, text, strlen(text), &made, &err), JB_ETOOBIG);
    ck_assert(strstr(err.msg, "100 bytes") != NULL);
    text[strlen(text) - 1] = ' ';
    ck_assert_int_eq(jb_encoder_json(small, text, strlen(text), &made, &err), JB_EPARSE);
    jb_encoder_destroy(small);
}
END_TEST

START_TEST(test_a_million_bytes_fit)
{
    size_t n = JB_EVENT_MAX_BYTES - 100;
    char *text = malloc(n + 100);
    int head;

    ck_assert_ptr_nonnull(text);
    head = sprintf(text, "{\"type\":\"X\",\"source\":\"");
    memset(text + head, 'a', n);
    memcpy(text + (size_t)head + n, "\"}", 3);
    ck_assert_msg(encode(text) == 0, "%s", err.msg);
    ck_assert_uint_gt(made.len_bytes, n);
    free(text);
}
END_TEST

/* Walk a body; results as letters: '.' an event, 'e' JB_EEVENT, 'b' JB_ETOOBIG, 'p' JB_EPARSE, '|'
 * the end. */
static const char *walk(const char *body)
{
    static char seen[64];
    size_t n = 0;
    int rc = 1;

    ck_assert_int_eq(jb_encoder_batch_begin(enc, body, strlen(body), &err), 0);
    while (rc != 0 && rc != JB_EPARSE && n < sizeof seen - 1) {
        rc = jb_encoder_batch_next(enc, &made, &err);
        seen[n++] = rc == 1            ? '.'
                    : rc == 0          ? '|'
                    : rc == JB_EEVENT  ? 'e'
                    : rc == JB_ETOOBIG ? 'b'
                    : rc == JB_EPARSE  ? 'p'
                                       : '?';
    }
    seen[n] = '\0';
    return seen;
}

#define E1 "{\"type\":\"A\"}"

static const struct {
    const char *body;
    const char *seen;
} batches[] = {
    {E1, ".|"},
    {"[" E1 "," E1 "]", "..|"},
    {"[]", "|"},
    {" [ ] ", "|"},
    {"{\"events\":[" E1 "]}", ".|"},
    {"{\"batch_id\":\"x\",\"events\":[" E1 "," E1 "],\"source\":\"m\",\"timestamp\":1}", "..|"},
    {"{\"events\":[]}", "|"},
    {"{\"a\":{} , \"b\" : \"x\" , \"events\" : [" E1 "] , \"c\":[] }", ".|"},
    {"{\"events\":{},\"a\":1}", "|"},
    {"{\"events\":{\"a\":1}}", "e|"},
    {"{\"events\":5}", "e|"},
    {"{\"events\":[" E1 "],\"events\":[]}", "e|"},
    {"{\"type\":\"A\",\"events\":[1]}", ".|"},
    {"{\"events\":[1],\"type\":\"A\"}", ".|"},
    {"{}", "e|"},
    {"5", "e|"},
    {"[" E1 ",5," E1 ",{},[" E1 "]," E1 "]", ".e.ee.|"},
    {"[" E1 ",5 6]", ".ep"},
    {"[" E1 " " E1 "]", ".p"},
    {"[" E1 ",]", ".p"},
    {"[" E1, ".p"},
    {"[" E1 "] x", ".p"},
    {"{\"events\":[" E1 "],}", ".p"},
    {"{\"events\":[" E1 "],\"a\":}", ".p"},
    {"{\"events\":[" E1 "]", ".p"},
    {"{\"a\":tru,\"events\":[" E1 "]}", "p"},
    {"{\"a\":[}],\"events\":[" E1 "]}", "p"},
    {"{\"a\" 1,\"events\":[" E1 "]}", "p"},
    {"{\"events\":[" E1 "]} 1", ".p"},
    {"{\"events\":5", "p"},
    {"{\"events\":", "p"},
    {"{\"events\":{} x", "p"},
    {"", "p"},
};

START_TEST(test_batch_shapes)
{
    ck_assert_msg(strcmp(walk(batches[_i].body), batches[_i].seen) == 0, "%s: %s", batches[_i].body,
                  walk(batches[_i].body));
}
END_TEST

START_TEST(test_faults_in_a_batch_name_the_element)
{
    ck_assert_str_eq(
        walk("{\"events\":[" E1 ",{\"type\":\"GAME_STATE\",\"payload\":{\"money\":}}]}"), ".p");
    ck_assert_msg(strstr(err.msg, "events[1].payload.money: expected a value") != NULL, "%s",
                  err.msg);
    ck_assert_uint_eq(err.offset, 64);
}
END_TEST

START_TEST(test_events_of_a_batch_stay_where_they_are)
{
    static char body[600000];
    jb_encoded events[200];
    size_t n = (size_t)sprintf(body, "[");

    for (int i = 0; i < 200; i++)
        n += (size_t)sprintf(body + n, "%s{\"type\":\"X\",\"version\":%d,\"source\":\"%0*d\"}",
                             i ? "," : "", i, 1 + i * 13, i);
    strcpy(body + n, "]");
    ck_assert_int_eq(jb_encoder_batch_begin(enc, body, strlen(body), &err), 0);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(jb_encoder_batch_next(enc, &events[i], &err), 1);
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), 0);
    for (int i = 0; i < 200; i++) {
        made = events[i];
        ck_assert_double_eq(made_double("version"), i);
    }
}
END_TEST

START_TEST(test_a_batch_has_a_limit_of_its_own)
{
    jb_encoder_opts opts;
    jb_encoder *saved = enc;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.max_batch_bytes = 11; /* two events of five bytes */
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, NULL), 0);
    ck_assert_str_eq(walk("[" E1 "," E1 "," E1 "]"), "..b|");
    jb_encoder_destroy(enc);
    enc = saved;
}
END_TEST

START_TEST(test_calls_out_of_turn_and_bad_arguments)
{
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), JB_ESTATE);
    ck_assert_int_eq(jb_encoder_json(NULL, "", 0, &made, &err), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_json(enc, NULL, 1, &made, &err), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_json(enc, "{}", 2, NULL, &err), JB_EINVAL);
    ck_assert_str_eq(walk("["), "p");
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), JB_ESTATE);
}
END_TEST

/* Whatever way its members go and whatever the encoder read before. */
START_TEST(test_the_largest_event_is_made)
{
    const char *text = "{\"type\":\"MONEY_CHANGED\",\"source\":\"abc\",\"version\":1,"
                       "\"payload\":{\"old_value\":1,\"new_value\":2}}";
    jb_encoder_opts opts;
    uint32_t size;

    jb_encoder_opts_init(&opts, sizeof opts);
    ck_assert_int_eq(encode(text), 0);
    size = made.len_bytes;
    for (uint32_t room = size - 1; room <= size; room++) {
        jb_encoder *small;
        jb_encoded out;

        opts.max_event_bytes = room;
        ck_assert_int_eq(jb_encoder_create(&opts, &small, NULL), 0);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(jb_encoder_json(small, text, strlen(text), &out, NULL),
                             room < size ? JB_ETOOBIG : 0);
        jb_encoder_destroy(small);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encoder errors");
    TCase *tc = suite_case(s, "errors");

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_loop_test(tc, test_fault_is_named_with_its_place, 0,
                        (int)(sizeof faults / sizeof faults[0]));
    tcase_add_loop_test(tc, test_strict_refuses_what_lenient_repairs, 0,
                        (int)(sizeof lenient_only / sizeof lenient_only[0]));
    tcase_add_loop_test(tc, test_batch_shapes, 0, (int)(sizeof batches / sizeof batches[0]));
    tcase_add_test(tc, test_a_refused_text_leaves_the_result_alone);
    tcase_add_test(tc, test_the_largest_event_is_made);
    tcase_add_test(tc, test_too_large_an_event);
    tcase_add_test(tc, test_a_million_bytes_fit);
    tcase_add_test(tc, test_faults_in_a_batch_name_the_element);
    tcase_add_test(tc, test_events_of_a_batch_stay_where_they_are);
    tcase_add_test(tc, test_a_batch_has_a_limit_of_its_own);
    tcase_add_test(tc, test_calls_out_of_turn_and_bad_arguments);
    return suite_run(s);
}
