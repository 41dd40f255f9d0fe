/*
 * The dialects, through the public calls: what each understands, how it is written, what it
 * refuses. That documents come back in general is the matter of dialects.py.
 */
#include <stdio.h>

#include "encode.h"

static char json[1 << 16];

static void open_for(uint32_t dialect)
{
    jb_encoder_opts opts;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.dialect = dialect;
    jb_error_init(&err);
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, &err), 0);
}

static void balatrobot(void)
{
    open_for(JB_DIALECT_BALATROBOT);
}

static void protobuf(void)
{
    open_for(JB_DIALECT_PROTOBUF);
}

/* What `made` reads as in a dialect. */
static const char *made_as(uint32_t dialect)
{
    int64_t n =
        jb_event_to_json_as(dialect, made.data, made.len_bytes, json, sizeof json - 1, &err);

    ck_assert_msg(n > 0 && n < (int64_t)sizeof json, "%s", err.msg);
    json[n] = '\0';
    return json;
}

static void is_made_of(const char *text)
{
    ck_assert_msg(encode(text) == 0, "%s: %s", text, err.msg);
}

START_TEST(test_dialects_have_names)
{
    ck_assert_str_eq(jb_dialect_name(JB_DIALECT_BALATROMCP), "balatromcp");
    ck_assert_str_eq(jb_dialect_name(JB_DIALECT_BALATROBOT), "balatrobot");
    ck_assert_str_eq(jb_dialect_name(JB_DIALECT_PROTOBUF), "protobuf");
    ck_assert_ptr_null(jb_dialect_name(JB_DIALECT_PROTOBUF + 1));
    ck_assert_int_eq(jb_dialect_find("balatrobot", 10), JB_DIALECT_BALATROBOT);
    ck_assert_int_eq(jb_dialect_find("balatrobot", 9), JB_ENOENT);
    ck_assert_int_eq(jb_dialect_find(NULL, 0), JB_ENOENT);
}
END_TEST

START_TEST(test_unknown_dialect_is_refused)
{
    jb_encoder_opts opts;
    jb_encoder *other;

    jb_encoder_opts_init(&opts, sizeof opts);
    ck_assert_uint_eq(opts.dialect, JB_DIALECT_BALATROMCP);
    opts.dialect = JB_DIALECT_PROTOBUF + 1;
    ck_assert_int_eq(jb_encoder_create(&opts, &other, &err), JB_EINVAL);
    ck_assert_int_eq(jb_event_to_json_as(opts.dialect, "", 0, json, sizeof json, &err), JB_EINVAL);
}
END_TEST

START_TEST(test_state_of_balatrobot_is_a_game_state)
{
    is_made_of("{\"state\":\"SHOP\",\"ante_num\":2,\"round\":{\"hands_left\":3,\"chips\":1.5},"
               "\"hand\":{\"limit\":8,\"cards\":[{\"value\":{\"suit\":\"H\",\"rank\":\"T\"}}]}}");
    ck_assert_int_eq(made.type, JB_EVENT_GAME_STATE);
    ck_assert_str_eq(made.topic, "game.state.update");
    ck_assert_double_eq(made_double("game_state.ante"), 2);
    ck_assert_double_eq(made_double("game_state.hands_remaining"), 3);
    ck_assert_double_eq(made_double("game_state.chips"), 1.5);
    ck_assert_double_eq(made_double("game_state.hand_limit"), 8);
    ck_assert_double_eq(made_double("game_state.hand.length"), 1);
    ck_assert_str_eq(made_json(),
                     "{\"type\":\"GAME_STATE\",\"payload\":{\"game_state\":\"SHOP\",\"ante\":2,"
                     "\"hands_remaining\":3,\"chips\":1.5,\"hand_size\":8,"
                     "\"hand\":[{\"suit\":\"Hearts\",\"rank\":\"10\"}]}}");
}
END_TEST

static const char *const states[] = {
    "{}",
    "{\"round\":{}}",
    "{\"round\":[]}",
    "{\"round\":5}",
    "{\"round\":null,\"hand\":{},\"jokers\":[]}",
    "{\"used_vouchers\":[],\"hands\":{}}",
    "{\"hand\":{\"count\":0,\"cards\":[]},\"jokers\":{\"count\":0,\"cards\":{}}}",
    "{\"hand\":{\"cards\":[5,{},\"x\"]},\"pack\":{\"cards\":[null]}}",
    "{\"round\":{\"zzz\":{\"a\":[1]},\"hands_left\":\"3\"}}",
    "{\"cards\":{\"count\":52,\"limit\":52,\"cards\":[{\"modifier\":[],\"state\":{}}]}}",
    "{\"round\":{\"chips\":{\"array\":[5,2],\"sign\":1}}}",
    "{\"idol_card\":{\"rank\":\"A\",\"suit\":\"S\"},\"ancient_suit\":\"D\",\"tags\":[{\"key\":"
    "\"tag_boss\"}]}",
    "{\"jsonrpc\":\"2.0\",\"result\":{\"state\":\"MENU\"},\"id\":7}",
    "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":5}",
    "{\"result\":{\"state\":\"MENU\"}}",
    "{\"dialect\":1,\"type\":\"x\",\"payload\":2,\"data\":3,\"extras\":[4]}",
    "{\"jsonrpc\":\"2.0\",\"result\":{},\"dialect\":1,\"type\":\"x\",\"payload\":2,\"extras\":4}",
};

START_TEST(test_state_of_balatrobot_comes_back)
{
    is_made_of(states[_i]);
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT), states[_i]);
}
END_TEST

START_TEST(test_members_of_a_group_are_written_together)
{
    is_made_of("{\"round\":{\"chips\":1},\"money\":4,\"zzz\":0}");
    is_made_of("{\"type\":5,\"round\":{\"zzz\":1,\"hands_left\":2},\"money\":4}");
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT),
                     "{\"type\":5,\"round\":{\"zzz\":1,\"hands_left\":2},\"money\":4}");
}
END_TEST

START_TEST(test_group_that_comes_twice_is_the_last_one)
{
    is_made_of("{\"round\":{\"chips\":1,\"zzz\":1,\"hands_left\":\"x\"},\"money\":1,"
               "\"round\":{\"zzz\":2,\"zzz\":3}}");
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT), "{\"money\":1,\"round\":{\"zzz\":3}}");
    is_made_of("{\"round\":{\"chips\":1},\"round\":[]}");
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT), "{\"round\":[]}");
    ck_assert(!made_has("game_state.chips"));
}
END_TEST

START_TEST(test_members_of_two_groups_do_not_meet)
{
    is_made_of(
        "{\"hand\":{\"count\":1,\"cards\":[1]},\"count\":2,\"pack\":{\"count\":3,\"cards\":[{}]}}");
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT),
                     "{\"hand\":{\"count\":1,\"cards\":[1]},\"count\":2,"
                     "\"pack\":{\"count\":3,\"cards\":[{}]}}");
}
END_TEST

static const struct {
    const char *text;
    double value;
} talisman[] = {
    {"{\"array\":[5],\"sign\":1}", 5},
    {"{\"sign\":-1,\"array\":[5]}", -5},
    {"{\"array\":[3,1],\"sign\":1}", 1000},
    {"{\"array\":[300,2],\"sign\":1}", 1.0 / 0.0},
    {"{\"array\":[1,1,1],\"sign\":-1}", -1.0 / 0.0},
};

START_TEST(test_score_of_talisman_is_the_nearest_double)
{
    char text[128];

    snprintf(text, sizeof text, "{\"round\":{\"chips\":%s}}", talisman[_i].text);
    is_made_of(text);
    ck_assert_double_eq(made_double("game_state.chips"), talisman[_i].value);
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT), text);
}
END_TEST

START_TEST(test_fault_in_a_group_has_its_path)
{
    refused("{\"hand\":{\"cards\":[{\"value\":{\"rank\":?}}]}}", JB_EPARSE, 35,
            "hand.cards[0].value.rank: expected");
    refused("{\"id\":1,\"jsonrpc\":\"2\",\"result\":{\"round\":{\"chips\":?}}}", JB_EPARSE, 49,
            "result.round.chips: expected");
    refused("{\"jsonrpc\":\"2.0\",\"error\":{}}", JB_EEVENT, 0, "expected a member `result`");
    refused("[1]", JB_EEVENT, 0, "an event is an object");
}
END_TEST

START_TEST(test_groups_count_for_depth)
{
    jb_encoder_opts opts;

    jb_encoder_destroy(enc);
    jb_encoder_opts_init(&opts, sizeof opts);
    opts.dialect = JB_DIALECT_BALATROBOT;
    opts.max_depth = 3;
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, &err), 0);
    is_made_of("{\"round\":{\"chips\":1}}");
    refused("{\"round\":{\"zzz\":{}}}", JB_EEVENT, 16, "nested too deep");
}
END_TEST

START_TEST(test_events_balatrobot_has_no_word_for)
{
    jb_encoder_destroy(enc);
    encoder_open();
    is_made_of("{\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":1}}");
    ck_assert_int_eq(jb_event_to_json_as(JB_DIALECT_BALATROBOT, made.data, made.len_bytes, json,
                                         sizeof json, &err),
                     JB_EEVENT);
    ck_assert_ptr_nonnull(strstr(err.msg, "balatrobot"));
}
END_TEST

START_TEST(test_keys_of_one_dialect_mean_nothing_in_another)
{
    jb_encoder_destroy(enc);
    encoder_open();
    is_made_of("{\"type\":\"GAME_STATE\",\"payload\":{\"round\":\"3\",\"hand\":{},\"zzz\":1,\"ante_"
               "num\":2}}");
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT), "{\"round_num\":3,\"zzz\":1}");
}
END_TEST

static const struct {
    const char *text;
    const char *back;
} messages[] = {
    {"{\"type\":\"EVENT_TYPE_METRIC\",\"metric\":{\"name\":\"x\"}}", NULL},
    {"{\"type\":20,\"event_id\":\"7\",\"version\":9007199254740993}",
     "{\"type\":\"EVENT_TYPE_METRIC\",\"eventId\":\"7\",\"version\":\"9007199254740993\"}"},
    {"{\"type\":\"EVENT_TYPE_METRIC\",\"source\":null,\"changes\":[],\"debug\":false}",
     "{\"type\":\"EVENT_TYPE_METRIC\",\"debug\":false}"},
    {"{\"type\":\"EVENT_TYPE_GAME_STATE\",\"gameState\":{\"phase\":\"PHASE_UNSPECIFIED\","
     "\"chips\":\"-Infinity\",\"nonFinite\":true,\"ante\":\"-5\"}}",
     NULL},
    {"{\"type\":\"EVENT_TYPE_GAME_STATE\",\"gameState\":{\"phase\":12345,\"chips\":\"1.5\"}}",
     "{\"type\":\"EVENT_TYPE_GAME_STATE\",\"gameState\":{\"phase\":12345,\"chips\":1.5}}"},
    {"{\"type\":\"EVENT_TYPE_METRIC\",\"extras\":[{\"key\":\"a\",\"index\":4294967295,\"json\":"
     "\"1\"}]}",
     NULL},
    {"{\"type\":\"EVENT_TYPE_METRIC\",\"zzz\":[1],\"version\":\"x\"}",
     "{\"type\":\"EVENT_TYPE_METRIC\",\"extras\":[{\"key\":\"zzz\",\"json\":\"[1]\"},"
     "{\"key\":\"version\",\"json\":\"\\\"x\\\"\"}]}"},
    {"{\"type\":\"EVENT_TYPE_GAME_START\",\"changes\":[{\"type\":\"EVENT_TYPE_ERROR\",\"error\":{}}"
     "]}",
     NULL},
};

START_TEST(test_message_is_written_as_protobuf_does)
{
    is_made_of(messages[_i].text);
    ck_assert_str_eq(made_as(JB_DIALECT_PROTOBUF),
                     messages[_i].back != NULL ? messages[_i].back : messages[_i].text);
    ck_assert_uint_eq(made.n_repairs, 0);
}
END_TEST

START_TEST(test_what_no_message_can_be_is_refused)
{
    refused("{\"gameState\":{}}", JB_EEVENT, 0, "an event has a type");
    refused("{\"type\":\"EVENT_TYPE_UNSPECIFIED\"}", JB_EEVENT, 0, "an event has a type");
    refused("{\"type\":3,\"gameState\":{},\"error\":{}}", JB_EEVENT, 0, "one payload");
    refused("{\"type\":3,\"extras\":[{\"zzz\":1}]}", JB_EEVENT, 21, "not a member of an Extra");
    refused("{\"type\":3,\"extras\":[{\"index\":-1}]}", JB_EEVENT, 29, "not a member of an Extra");
    refused("{\"type\":3,\"gameState\":{\"handLimit\":?}}", JB_EPARSE, 35, "gameState.handLimit");
}
END_TEST

START_TEST(test_batch_of_each_dialect)
{
    const char *bodies[] = {"[{\"state\":\"SHOP\"},{\"jsonrpc\":\"2.0\",\"result\":{}}]",
                            "{\"events\":[{\"type\":3},{\"type\":\"EVENT_TYPE_ERROR\"}]}"};

    ck_assert_int_eq(jb_encoder_batch_begin(enc, bodies[_i], strlen(bodies[_i]), &err), 0);
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), 1);
    ck_assert_int_eq(made.type, JB_EVENT_GAME_STATE);
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), 1);
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), 0);
}
END_TEST

START_TEST(test_values_are_spelled_in_the_dialect)
{
    ck_assert_int_eq(jb_encoder_begin(enc, "GAME_STATE", 10, NULL, 0), 0);
    jb_encoder_key(enc, "payload", 7);
    jb_encoder_object_open(enc);
    jb_encoder_key(enc, "round", 5);
    jb_encoder_object_open(enc);
    jb_encoder_put_double(enc, "hands_left", 10, 3);
    jb_encoder_close(enc);
    jb_encoder_close(enc);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_double_eq(made_double("game_state.hands_remaining"), 3);
    ck_assert_str_eq(made_as(JB_DIALECT_BALATROBOT), "{\"round\":{\"hands_left\":3}}");
}
END_TEST

static TCase *cases(Suite *suite, const char *name, void (*open)(void))
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, open, encoder_close);
    suite_add_tcase(suite, tc);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("dialects");
    TCase *tc = cases(suite, "all", encoder_open);

    tcase_add_test(tc, test_dialects_have_names);
    tcase_add_test(tc, test_unknown_dialect_is_refused);
    tc = cases(suite, "balatrobot", balatrobot);
    tcase_add_test(tc, test_state_of_balatrobot_is_a_game_state);
    tcase_add_loop_test(tc, test_state_of_balatrobot_comes_back, 0, sizeof states / sizeof *states);
    tcase_add_test(tc, test_members_of_a_group_are_written_together);
    tcase_add_test(tc, test_group_that_comes_twice_is_the_last_one);
    tcase_add_test(tc, test_members_of_two_groups_do_not_meet);
    tcase_add_loop_test(tc, test_score_of_talisman_is_the_nearest_double, 0,
                        sizeof talisman / sizeof *talisman);
    tcase_add_test(tc, test_fault_in_a_group_has_its_path);
    tcase_add_test(tc, test_groups_count_for_depth);
    tcase_add_test(tc, test_events_balatrobot_has_no_word_for);
    tcase_add_test(tc, test_keys_of_one_dialect_mean_nothing_in_another);
    tcase_add_loop_test(tc, test_batch_of_each_dialect, 0, 1);
    tcase_add_test(tc, test_values_are_spelled_in_the_dialect);
    tc = cases(suite, "protobuf", protobuf);
    tcase_add_loop_test(tc, test_message_is_written_as_protobuf_does, 0,
                        sizeof messages / sizeof *messages);
    tcase_add_test(tc, test_what_no_message_can_be_is_refused);
    tcase_add_loop_test(tc, test_batch_of_each_dialect, 1, 2);
    return suite_run(suite);
}
