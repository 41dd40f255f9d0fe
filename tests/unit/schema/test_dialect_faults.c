/*
 * What holds in every dialect, whatever way of the reader a message takes.
 */
#include "encode.h"

static uint8_t form[2][4096];
static int64_t form_bytes[2];

static void open_protobuf(void)
{
    jb_encoder_opts opts;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.dialect = JB_DIALECT_PROTOBUF;
    jb_error_init(&err);
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, &err), 0);
}

#define HEAD "{\"type\":\"EVENT_TYPE_GAME_STATE\""
static const char *const two_payloads[] = {
    HEAD ",\"gameState\":{},\"handPlayed\":{}}",
    HEAD ",\"changes\":[{\"gameState\":{},\"handPlayed\":{}}]}",
    HEAD ",\"changes\":[{\"gameState\":{}, \"handPlayed\":{}}, {}]}",
    HEAD ",\"changes\":[{},{\"gameState\":{},\"handPlayed\":{\"handNumber\":3}}]}",
};

START_TEST(test_an_event_has_one_payload_however_small_it_is)
{
    ck_assert_int_eq(encode(two_payloads[_i]), JB_EEVENT);
    ck_assert_msg(strstr(err.msg, "an event has one payload") != NULL, "%s", err.msg);
}
END_TEST

static void make_form(int i, const char *text)
{
    ck_assert_msg(encode(text) == 0, "%s: %s", text, err.msg);
    form_bytes[i] = jb_event_canonical(made.data, made.len_bytes, form[i], sizeof form[i], &err);
    ck_assert_int_gt(form_bytes[i], 0);
    ck_assert_int_le(form_bytes[i], (int64_t)sizeof form[i]);
}

START_TEST(test_what_stands_for_an_entry_follows_it)
{
    make_form(0, HEAD ",\"gameState\":{\"shopItems\":{\"b\":{},\"a\":1}}}");
    make_form(1, HEAD ",\"gameState\":{\"shopItems\":{\"a\":1,\"b\":{}}}}");
    ck_assert_int_eq(form_bytes[0], form_bytes[1]);
    ck_assert_mem_eq(form[0], form[1], (size_t)form_bytes[0]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dialect faults");
    TCase *tc = suite_case(s, "protobuf");

    tcase_add_checked_fixture(tc, open_protobuf, encoder_close);
    tcase_add_loop_test(tc, test_an_event_has_one_payload_however_small_it_is, 0,
                        (int)(sizeof two_payloads / sizeof two_payloads[0]));
    tcase_add_test(tc, test_what_stands_for_an_entry_follows_it);
    return suite_run(s);
}
