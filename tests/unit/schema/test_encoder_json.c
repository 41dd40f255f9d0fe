/*
 * JSON into events: every type, every quirk of the clients we know, nothing lost.
 */
#include <math.h>
#include <stdio.h>

#include "encode.h"
#include "schema/schema_dialect.h"

static const struct {
    const char *type;
    const char *subtype;
    const char *topic;
    int number;
} types[] = {
    {"connection_test", NULL, "system.connection.test", JB_EVENT_CONNECTION_TEST},
    {"HEARTBEAT", NULL, "system.heartbeat", JB_EVENT_HEARTBEAT},
    {"GAME_STATE", NULL, "game.state.update", JB_EVENT_GAME_STATE},
    {"MONEY_CHANGED", NULL, "game.money.changed", JB_EVENT_MONEY_CHANGED},
    {"SCORE_CHANGED", NULL, "game.score.changed", JB_EVENT_SCORE_CHANGED},
    {"HAND_PLAYED", NULL, "game.hand.played", JB_EVENT_HAND_PLAYED},
    {"CARDS_DISCARDED", NULL, "game.cards.discarded", JB_EVENT_CARDS_DISCARDED},
    {"JOKERS_CHANGED", NULL, "game.jokers.changed", JB_EVENT_JOKERS_CHANGED},
    {"ROUND_CHANGED", NULL, "game.round.changed", JB_EVENT_ROUND_CHANGED},
    {"PHASE_CHANGED", NULL, "game.phase.changed", JB_EVENT_PHASE_CHANGED},
    {"ROUND_COMPLETE", NULL, "game.round.complete", JB_EVENT_ROUND_COMPLETE},
    {"JOKER_TRIGGER", NULL, "game.joker.triggered", JB_EVENT_JOKER_TRIGGER},
    {"SCORING", "HAND_EVAL_START", "game.scoring.hand_eval_start", JB_EVENT_SCORING},
    {"SCORING", "MULT_UPDATE", "game.scoring.mult_update", JB_EVENT_SCORING},
    {"SCORING", NULL, "game.scoring.update", JB_EVENT_SCORING},
    {"LEARNING_DECISION", "REQUEST", "learning.decision.request",
     JB_EVENT_LEARNING_DECISION_REQUEST},
    {"LEARNING_DECISION", "RESPONSE", "learning.decision.response",
     JB_EVENT_LEARNING_DECISION_RESPONSE},
    {"LEARNING_DECISION", NULL, "custom.learning_decision", JB_EVENT_CUSTOM},
    {"LEARNING_DECISION_RESPONSE", NULL, "learning.decision.response",
     JB_EVENT_LEARNING_DECISION_RESPONSE},
    {"STRATEGY_REQUEST", NULL, "strategy.request", JB_EVENT_STRATEGY_REQUEST},
    {"STRATEGY_RESPONSE", NULL, "strategy.response", JB_EVENT_STRATEGY_RESPONSE},
    {"KNOWLEDGE_QUERY", NULL, "knowledge.query", JB_EVENT_KNOWLEDGE_QUERY},
    {"KNOWLEDGE_UPDATE", NULL, "knowledge.update", JB_EVENT_KNOWLEDGE_UPDATE},
    {"METRIC", NULL, "metrics.unnamed", JB_EVENT_METRIC},
    {"ERROR", NULL, "system.error", JB_EVENT_ERROR},
    {"DIAGNOSTIC", NULL, "system.diagnostic", JB_EVENT_DIAGNOSTIC},
    {"GAME_START", NULL, "game.start", JB_EVENT_GAME_START},
    {"GAME_OVER", NULL, "game.over", JB_EVENT_GAME_OVER},
    {"BLIND_DEFEATED", NULL, "game.blind.defeated", JB_EVENT_BLIND_DEFEATED},
    {"SHOP_ENTERED", NULL, "game.shop.entered", JB_EVENT_SHOP_ENTERED},
    {"CARD_PURCHASED", NULL, "game.card.purchased", JB_EVENT_CARD_PURCHASED},
    {"CARD_SOLD", NULL, "game.card.sold", JB_EVENT_CARD_SOLD},
    {"CARD_ENHANCED", NULL, "game.card.enhanced", JB_EVENT_CARD_ENHANCED},
    {"STATE_SNAPSHOT", NULL, "game.state.snapshot", JB_EVENT_STATE_SNAPSHOT},
    {"COMMAND", NULL, "command.unnamed", JB_EVENT_COMMAND},
    {"My Own.Type", NULL, "custom.my_own_type", JB_EVENT_CUSTOM},
};

/* Type, subtype and payload in an order that makes the payload wait. */
START_TEST(test_every_type_has_its_number_and_topic)
{
    char text[256], subtype[64] = "";
    bool is_test = types[_i].number == JB_EVENT_CONNECTION_TEST;

    if (types[_i].subtype != NULL)
        snprintf(subtype, sizeof subtype, ",\"subtype\":\"%s\"", types[_i].subtype);
    snprintf(text, sizeof text, "{\"%s\":{\"zz\":1},\"type\":\"%s\"%s}",
             is_test ? "data" : "payload", types[_i].type, subtype);
    ck_assert_msg(encode(text) == 0, "%s: %s", text, err.msg);
    ck_assert_str_eq(made.topic, types[_i].topic);
    ck_assert_uint_eq(made.topic_bytes, strlen(types[_i].topic));
    ck_assert_int_eq(made.type, types[_i].number);
    snprintf(text, sizeof text, "{\"type\":\"%s\"%s,\"%s\":{\"zz\":1}}", types[_i].type, subtype,
             is_test ? "data" : "payload");
    comes_back(text);
}
END_TEST

START_TEST(test_type_names_are_what_clients_say)
{
    for (uint32_t i = 1; i <= JB_EVENT_CUSTOM; i++) {
        const char *name = jb_event_type_name(i);

        ck_assert_ptr_nonnull(name);
        if (i != JB_EVENT_CUSTOM)
            ck_assert_int_eq(jbi_event_type_find(jbi_event_types, name, strlen(name), NULL, 0),
                             (int)i);
    }
    ck_assert_ptr_null(jb_event_type_name(JB_EVENT_CUSTOM + 1));
    ck_assert_str_eq(jb_event_type_name(JB_EVENT_MONEY_CHANGED), "MONEY_CHANGED");
}
END_TEST

START_TEST(test_head_of_an_event)
{
    ck_assert_int_eq(
        encode("{\"timestamp\":1000016.6666667,\"priority\":\"high\",\"event_id\":\"ab-1\","
               "\"type\":\"METRIC\",\"payload\":{\"name\":\"Loss/Mean\",\"value\":1}}"),
        0);
    ck_assert_str_eq(made.topic, "metrics.loss_mean");
    ck_assert_double_eq(made.source_time, 1000016.6666667);
    ck_assert_int_eq(made.priority, JB_PRIORITY_HIGH);
    ck_assert_uint_eq(made.event_id_bytes, 4);
    ck_assert_mem_eq(made.event_id, "ab-1", 4);
    ck_assert_uint_eq(made.n_repairs, 0);
    ck_assert_int_eq(encode("{\"type\":\"HEARTBEAT\"}"), 0);
    ck_assert(isnan(made.source_time));
    ck_assert_ptr_null(made.event_id);
    ck_assert_int_eq(made.priority, JB_PRIORITY_NORMAL);
}
END_TEST

START_TEST(test_long_topics_are_cut)
{
    char text[600], type[400];

    memset(type, 'X', sizeof type);
    snprintf(text, sizeof text, "{\"type\":\"%.*s\"}", (int)sizeof type, type);
    ck_assert_int_eq(encode(text), 0);
    ck_assert_uint_eq(made.topic_bytes, JB_TOPIC_MAX_BYTES);
    ck_assert_uint_eq(strlen(made.topic), JB_TOPIC_MAX_BYTES);
}
END_TEST

#define STATE(members) "{\"type\":\"GAME_STATE\",\"payload\":{" members "}}"

START_TEST(test_braces_for_an_empty_list)
{
    comes_back(STATE("\"jokers\":{},\"hand\":[],\"shop_items\":{},\"deck\":{\"full_deck\":{}}"));
    ck_assert_uint_eq(made.n_repairs, 2);
    comes_back(STATE("\"shop_items\":[]"));
}
END_TEST

START_TEST(test_scalars_given_as_strings)
{
    comes_back(STATE("\"ante\":\"3\",\"in_game\":\"true\",\"money\":\"1e3\""));
    ck_assert_double_eq(made_double("game_state.ante"), 3);
    ck_assert_double_eq(made_double("game_state.in_game"), 1);
    ck_assert_double_eq(made_double("game_state.money"), 1000);
    ck_assert_uint_eq(made.n_repairs, 3);
}
END_TEST

START_TEST(test_elements_given_as_strings)
{
    comes_back("{\"type\":\"LEARNING_DECISION\",\"subtype\":\"RESPONSE\",\"payload\":{"
               "\"action_values\":[1,\"2\",null,{\"a\":[]},4.5,\"true\"]}}");
    ck_assert_double_eq(made_double("learning_decision_response.action_values.length"), 6);
}
END_TEST

START_TEST(test_bare_nonfinite_numbers)
{
    comes_back_as(STATE("\"chips\":inf,\"mult\":-inf,\"money\":nan,\"zz\":[inf]"),
                  STATE("\"chips\":\"Infinity\",\"mult\":\"-Infinity\",\"money\":\"NaN\",\"zz\":["
                        "\"Infinity\"]"));
    ck_assert(isinf(made_double("game_state.chips")));
    ck_assert_uint_eq(made.n_repairs, 4);
}
END_TEST

START_TEST(test_named_nonfinite_numbers)
{
    comes_back(STATE("\"chips\":\"naneinf\",\"mult\":\"inf\""));
    ck_assert(isinf(made_double("game_state.chips")));
    comes_back(STATE("\"chips\":\"Infinity\""));
    ck_assert_uint_eq(made.n_repairs, 0);
}
END_TEST

START_TEST(test_message_with_a_nonfinite_double_says_so)
{
    comes_back(STATE("\"chips\":\"Infinity\",\"money\":1,\"blind\":{\"chips\":300}"));
    ck_assert(made_has("game_state.non_finite"));
    ck_assert(!made_has("game_state.blind.non_finite"));
    comes_back(STATE("\"chips\":5,\"blind\":{\"chips\":\"NaN\",\"mult\":2}"));
    ck_assert(!made_has("game_state.non_finite"));
    ck_assert(made_has("game_state.blind.non_finite"));
    comes_back(STATE("\"score_history\":{\"a\":1,\"b\":\"-Infinity\"}"));
    ck_assert(made_has("game_state.non_finite"));
    comes_back("{\"type\":\"LEARNING_DECISION\",\"subtype\":\"RESPONSE\",\"payload\":{"
               "\"action_values\":[1,\"NaN\"]}}");
    ck_assert(made_has("learning_decision_response.non_finite"));
}
END_TEST

START_TEST(test_replaced_nonfinite_double_is_not_spoken_of)
{
    comes_back_as(STATE("\"chips\":inf,\"mult\":1,\"chips\":5"), STATE("\"mult\":1,\"chips\":5"));
    ck_assert(!made_has("game_state.non_finite"));
    comes_back(STATE("\"score_history\":{\"a\":1},\"zz\":\"Infinity\""));
    ck_assert(!made_has("game_state.non_finite"));
}
END_TEST

START_TEST(test_field_may_have_another_key_in_json)
{
    comes_back(STATE("\"hand_size\":8"));
    ck_assert_double_eq(made_double("game_state.hand_limit"), 8);
    comes_back(STATE("\"hand_limit\":8"));
    ck_assert(!made_has("game_state.hand_limit"));
}
END_TEST

START_TEST(test_key_called_non_finite_is_a_key_as_any_other)
{
    comes_back(STATE("\"non_finite\":true,\"chips\":5"));
    ck_assert(!made_has("game_state.non_finite"));
}
END_TEST

START_TEST(test_numbers_as_luajit_prints_them)
{
    comes_back_as(STATE("\"chips\":1e+14,\"mult\":-0,\"money\":1.5e-7"),
                  STATE("\"chips\":100000000000000,\"mult\":-0.0,\"money\":1.5e-7"));
    comes_back(STATE("\"chips\":1.7976931348623157e+308"));
}
END_TEST

START_TEST(test_numbers_no_double_holds)
{
    comes_back(STATE("\"chips\":9007199254740993,\"money\":1e999,\"ante\":1.5,\"round\":1e30"));
    ck_assert(!made_has("game_state.ante"));
    comes_back(STATE("\"money\":0.12345678901234567890123"));
    comes_back("{\"type\":\"X\",\"version\":9223372036854775807}");
    comes_back("{\"type\":\"X\",\"version\":1.0977072081648187e+18}");
    ck_assert_double_eq(made_double("version"), 1.0977072081648187e+18);
}
END_TEST

START_TEST(test_ids_are_text_whatever_they_were)
{
    comes_back(
        STATE("\"hand\":[{\"id\":0.99998939687557},{\"id\":\"53\"},{\"id\":53},{\"id\":\"x\"}]"));
    comes_back("{\"type\":\"X\",\"event_id\":\"12\"}");
    ck_assert_mem_eq(made.event_id, "12", 2);
}
END_TEST

START_TEST(test_bytes_that_are_not_utf8)
{
    comes_back_as("{\"type\":\"X\",\"source\":\"a\xff\xc3z\"}",
                  "{\"type\":\"X\",\"source\":\"a\xEF\xBF\xBD\xEF\xBF\xBDz\"}");
    ck_assert_uint_eq(made.n_repairs, 2);
}
END_TEST

START_TEST(test_control_bytes_in_strings)
{
    comes_back_as("{\"type\":\"X\",\"source\":\"a\n\x01z\"}",
                  "{\"type\":\"X\",\"source\":\"a\\n\\u0001z\"}");
    ck_assert_uint_eq(made.n_repairs, 2);
}
END_TEST

START_TEST(test_escapes)
{
    comes_back_as("{\"type\":\"X\",\"source\":\"\\u00e9\\ud83d\\ude00\\/\\u0000\\ud800!\"}",
                  "{\"type\":\"X\",\"source\":\"\xc3\xa9\xf0\x9f\x98\x80/\\u0000\xEF\xBF\xBD!\"}");
    ck_assert_uint_eq(made.n_repairs, 1);
}
END_TEST

START_TEST(test_phases_by_name_and_number)
{
    comes_back(STATE("\"game_state\":\"SELECTING_HAND\",\"phase\":\"UNKNOWN_STATE_5\""));
    ck_assert_double_eq(made_double("game_state.game_state"), 1);
    ck_assert_double_eq(made_double("game_state.phase"), 5);
    comes_back(STATE("\"game_state\":\"UNKNOWN_STATE_777\",\"phase\":\"SMODS_BOOSTER_OPENED\""));
    ck_assert_double_eq(made_double("game_state.game_state"), 777);
    ck_assert_double_eq(made_double("game_state.phase"), 999);
    comes_back(STATE("\"game_state\":\"NOWHERE\",\"phase\":\"UNKNOWN_STATE_x\""));
    ck_assert(!made_has("game_state.game_state"));
}
END_TEST

START_TEST(test_rarity_by_number_and_name)
{
    comes_back(STATE("\"shop_items\":{\"joker_1\":{\"rarity\":3},\"joker_2\":{\"rarity\":\"Rare\"},"
                     "\"joker_3\":{\"rarity\":9},\"voucher_1\":null}"));
    ck_assert_double_eq(made_double("game_state.shop_items.length"), 4);
}
END_TEST

START_TEST(test_boss_is_false_or_an_object)
{
    comes_back(STATE("\"blind\":{\"boss\":false}"));
    comes_back(STATE("\"blind\":{\"boss\":{\"showdown\":true}}"));
    ck_assert_double_eq(made_double("game_state.blind.boss.showdown"), 1);
}
END_TEST

START_TEST(test_seals_and_editions)
{
    comes_back(STATE("\"hand\":[{\"seal\":\"none\"},{\"seal\":\"Gold\"},{\"seal\":\"gold\"},"
                     "{\"seal\":\"Plaid\"},{\"edition\":\"holo\"},{\"edition\":{\"foil\":true}}]"));
    ck_assert_double_eq(made_double("game_state.hand.length"), 6);
}
END_TEST

START_TEST(test_unknown_keys_are_kept)
{
    comes_back("{\"type\":\"GAME_STATE\",\"payload\":{\"money\":1,\"zz\":{\"a\":[1,{\"b\":null}]}},"
               "\"extras\":7,\"type_name\":\"x\",\"game_state\":{}}");
}
END_TEST

START_TEST(test_payload_of_another_kind_is_kept)
{
    comes_back("{\"type\":\"GAME_STATE\",\"payload\":[1,2]}");
    comes_back("{\"type\":\"GAME_STATE\",\"payload\":null}");
    comes_back("{\"type\":\"WHATEVER\",\"payload\":[1,\"2\",{}]}");
    comes_back("{\"type\":\"WHATEVER\",\"payload\":null,\"data\":3}");
}
END_TEST

START_TEST(test_nested_events)
{
    comes_back_as(
        "{\"changes\":[{\"payload\":{\"old_value\":4},\"type\":\"MONEY_CHANGED\"},{\"a\":1},5,"
        "{\"payload\":{\"x\":1}}],\"type\":\"GAME_STATE\"}",
        "{\"type\":\"GAME_STATE\",\"changes\":[{\"type\":\"MONEY_CHANGED\",\"payload\":{\"old_"
        "value\":"
        "4}},{\"a\":1},5,{\"payload\":{\"x\":1}}]}");
    ck_assert_double_eq(made_double("changes.length"), 4);
}
END_TEST

START_TEST(test_of_duplicate_keys_the_last_counts)
{
    comes_back_as(STATE("\"money\":1,\"zz\":1,\"money\":2,\"zz\":[2],\"hand\":[1],\"hand\":[{}]"),
                  STATE("\"money\":2,\"zz\":[2],\"hand\":[{}]"));
    ck_assert_uint_eq(made.n_repairs, 3);
    comes_back_as("{\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":1},\"type\":\"FOO\","
                  "\"payload\":{\"new_value\":2}}",
                  "{\"type\":\"FOO\",\"payload\":{\"new_value\":2}}");
    comes_back_as("{\"type\":\"FOO\",\"payload\":{\"new_value\":1},\"type\":\"MONEY_CHANGED\"}",
                  "{\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":1}}");
    ck_assert_double_eq(made_double("money_changed.new_value"), 1);
}
END_TEST

START_TEST(test_depth_up_to_the_limit)
{
    char text[400];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"type\":\"X\",\"payload\":");

    memset(text + n, '[', 63);
    memset(text + n + 63, ']', 63);
    memcpy(text + n + 126, "}", 2);
    comes_back(text);
    memset(text + n, '[', 64);
    memset(text + n + 64, ']', 64);
    memcpy(text + n + 128, "}", 2);
    refused(text, JB_EEVENT, n + 63, "too deep");
}
END_TEST

static void add(Suite *s)
{
    TCase *tc = suite_case(s, "json");

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_loop_test(tc, test_every_type_has_its_number_and_topic, 0,
                        (int)(sizeof types / sizeof types[0]));
    tcase_add_test(tc, test_type_names_are_what_clients_say);
    tcase_add_test(tc, test_head_of_an_event);
    tcase_add_test(tc, test_long_topics_are_cut);
    tcase_add_test(tc, test_braces_for_an_empty_list);
    tcase_add_test(tc, test_scalars_given_as_strings);
    tcase_add_test(tc, test_elements_given_as_strings);
    tcase_add_test(tc, test_bare_nonfinite_numbers);
    tcase_add_test(tc, test_named_nonfinite_numbers);
    tcase_add_test(tc, test_message_with_a_nonfinite_double_says_so);
    tcase_add_test(tc, test_replaced_nonfinite_double_is_not_spoken_of);
    tcase_add_test(tc, test_field_may_have_another_key_in_json);
    tcase_add_test(tc, test_key_called_non_finite_is_a_key_as_any_other);
    tcase_add_test(tc, test_numbers_as_luajit_prints_them);
    tcase_add_test(tc, test_numbers_no_double_holds);
    tcase_add_test(tc, test_ids_are_text_whatever_they_were);
    tcase_add_test(tc, test_bytes_that_are_not_utf8);
    tcase_add_test(tc, test_control_bytes_in_strings);
    tcase_add_test(tc, test_escapes);
    tcase_add_test(tc, test_phases_by_name_and_number);
    tcase_add_test(tc, test_rarity_by_number_and_name);
    tcase_add_test(tc, test_boss_is_false_or_an_object);
    tcase_add_test(tc, test_seals_and_editions);
    tcase_add_test(tc, test_unknown_keys_are_kept);
    tcase_add_test(tc, test_payload_of_another_kind_is_kept);
    tcase_add_test(tc, test_nested_events);
    tcase_add_test(tc, test_of_duplicate_keys_the_last_counts);
    tcase_add_test(tc, test_depth_up_to_the_limit);
}

int main(void)
{
    Suite *s = suite_create("encoder json");

    add(s);
    return suite_run(s);
}
