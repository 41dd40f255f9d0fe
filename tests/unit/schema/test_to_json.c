/*
 * Events as JSON text. The bytes are put together by hand; what the encoder makes is its own tests'
 * matter.
 */
#include "jimbot/schema.h"
#include "pb.h"
#include "support/guard.h"
#include "support/suite.h"

enum { MONEY = 35, GAME_STATE = 34, DECISION_REQUEST = 45, DECISION_RESPONSE = 46, CUSTOM = 63 };

static char text[40000];

static const char *to_json(const struct pb *event)
{
    int64_t n = jb_event_to_json(event->bytes, event->len, text, sizeof text - 1, NULL);

    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    return text;
}

/* The JSON of a GAME_STATE with this payload, without its envelope. */
static const char *state_json(const struct pb *payload)
{
    static const char before[] = "{\"type\":\"GAME_STATE\",\"payload\":";
    struct pb event = pb_event(JB_EVENT_GAME_STATE, GAME_STATE, payload);
    char *json = (char *)to_json(&event);

    ck_assert(strncmp(json, before, sizeof before - 1) == 0);
    json[strlen(json) - 1] = '\0';
    return json + sizeof before - 1;
}

START_TEST(test_each_kind_has_its_spelling)
{
    struct pb state = {0};

    pb_int(&state, 1, 1);             /* in_game */
    pb_text(&state, 2, "0.99998939"); /* game_id, an id */
    pb_int(&state, 3, -2);            /* ante */
    pb_double(&state, 6, 1e14);       /* chips */
    pb_int(&state, 12, 5);            /* game_state, an enum */
    pb_int(&state, 13, 5000);         /* phase, a number without name */
    pb_text(&state, 16, "11");        /* ui_state, a text */
    ck_assert_str_eq(
        state_json(&state),
        "{\"in_game\":true,\"game_id\":0.99998939,\"ante\":-2,\"chips\":100000000000000,"
        "\"game_state\":\"SHOP\",\"phase\":\"UNKNOWN_STATE_5000\",\"ui_state\":\"11\"}");
}
END_TEST

static const struct {
    double value;
    const char *json;
} doubles[] = {
    {1.0 / 0.0, "{\"chips\":\"Infinity\"}"},
    {-1.0 / 0.0, "{\"chips\":\"-Infinity\"}"},
    {0.0 / 0.0, "{\"chips\":\"NaN\"}"},
    {-0.0, "{\"chips\":-0.0}"},
    {0.1, "{\"chips\":0.1}"},
    {1e308, "{\"chips\":1e+308}"},
};

START_TEST(test_doubles_come_back_exactly)
{
    struct pb state = {0};

    pb_double(&state, 6, doubles[_i].value);
    ck_assert_str_eq(state_json(&state), doubles[_i].json);
}
END_TEST

START_TEST(test_enums_and_rarity_follow_the_dialect)
{
    struct pb state = {0}, card = {0}, joker = {0};

    pb_int(&card, 2, 14);
    pb_int(&card, 3, 1);
    pb_int(&card, 6, 2);
    pb_int(&card, 5, 0);
    pb_message(&state, 20, &card);
    pb_int(&joker, 7, 3);
    pb_message(&state, 21, &joker);
    ck_assert_str_eq(
        state_json(&state),
        "{\"hand\":[{\"rank\":\"Ace\",\"suit\":\"Hearts\",\"seal\":\"Gold\",\"edition\":0}]"
        ",\"jokers\":[{\"rarity\":3}]}");
}
END_TEST

START_TEST(test_maps_are_objects_with_defaults)
{
    struct pb state = {0}, entry = {0}, empty = {0}, keyless = {0};

    pb_text(&entry, 1, "a\"b");
    pb_double(&entry, 2, 2.5);
    pb_message(&state, 24, &entry);
    pb_message(&state, 24, &empty);
    pb_text(&keyless, 1, "joker_1");
    pb_message(&state, 23, &keyless);
    ck_assert_str_eq(state_json(&state),
                     "{\"score_history\":{\"a\\\"b\":2.5,\"\":0},\"shop_items\":{\"joker_1\":{}}}");
}
END_TEST

START_TEST(test_the_last_of_a_single_field_counts)
{
    struct pb state = {0};

    pb_int(&state, 3, 1);
    pb_int(&state, 4, 7);
    pb_int(&state, 3, 2);
    ck_assert_str_eq(state_json(&state), "{\"round\":7,\"ante\":2}");
}
END_TEST

START_TEST(test_a_list_in_pieces_is_one_list)
{
    struct pb state = {0};

    pb_text(&state, 37, "a");
    pb_int(&state, 3, 1);
    pb_text(&state, 37, "b");
    pb_extra(&state, "vouchers", 1, "{\"n\":1}");
    ck_assert_str_eq(state_json(&state), "{\"vouchers\":[\"a\",{\"n\":1}],\"ante\":1}");
}
END_TEST

START_TEST(test_packed_and_single_numbers_are_one_list)
{
    struct pb response = {0}, packed = {0}, event;

    pb_double(&packed, 0, 1.5);
    pb_double(&packed, 0, 2);
    pb_bytes(&response, 9, packed.bytes + 1, 8);
    pb_double(&response, 9, 3);
    pb_extra(&response, "action_values", 1, "\"x\"");
    event = pb_event(JB_EVENT_LEARNING_DECISION_RESPONSE, DECISION_RESPONSE, &response);
    ck_assert_str_eq(to_json(&event), "{\"type\":\"LEARNING_DECISION\",\"subtype\":\"RESPONSE\","
                                      "\"payload\":{\"action_values\":[1.5,\"x\"]}}");
}
END_TEST

START_TEST(test_an_override_replaces_its_field)
{
    struct pb state = {0};

    pb_double(&state, 8, 5);
    pb_extra(&state, "money", -1, "\"5\"");
    pb_extra(&state, "jokers", -1, "{}");
    pb_extra(&state, "mod \"key\"", -1, "[1,{\"a\":null}]");
    ck_assert_str_eq(state_json(&state),
                     "{\"money\":\"5\",\"jokers\":{},\"mod \\\"key\\\"\":[1,{\"a\":null}]}");
}
END_TEST

START_TEST(test_an_override_that_is_not_json_becomes_a_string)
{
    struct pb state = {0};

    pb_extra(&state, "x", -1, "1,\"in_game\":true");
    pb_extra(&state, "y", -1, " [1, 2] ");
    ck_assert_str_eq(state_json(&state), "{\"x\":\"1,\\\"in_game\\\":true\",\"y\":[1,2]}");
}
END_TEST

START_TEST(test_the_payload_can_be_overridden)
{
    struct pb money = {0}, event;

    pb_double(&money, 1, 4);
    event = pb_event(JB_EVENT_MONEY_CHANGED, MONEY, &money);
    pb_extra(&event, "payload", -1, "5");
    ck_assert_str_eq(to_json(&event), "{\"type\":\"MONEY_CHANGED\",\"payload\":5}");
}
END_TEST

START_TEST(test_the_envelope_keeps_its_spelling)
{
    struct pb event = pb_event(JB_EVENT_CONNECTION_TEST, 0, NULL), message = {0};

    pb_text(&message, 1, "hi");
    pb_message(&event, 32, &message);
    pb_double(&event, 6, 1000016.6666667);
    pb_int(&event, 8, 2);
    pb_text(&event, 9, "{\"h\":1}");
    ck_assert_str_eq(to_json(&event), "{\"type\":\"connection_test\",\"data\":{\"message\":\"hi\"},"
                                      "\"timestamp\":1000016.6666667,\"priority\":\"high\","
                                      "\"headers\":{\"h\":1}}");
}
END_TEST

START_TEST(test_types_are_named_whatever_they_are)
{
    struct pb custom = {0}, event = pb_event(JB_EVENT_CUSTOM, 0, NULL);

    pb_text(&event, 3, "MY_TYPE");
    pb_text(&custom, 1, "[1,2]");
    pb_message(&event, CUSTOM, &custom);
    ck_assert_str_eq(to_json(&event), "{\"type\":\"MY_TYPE\",\"payload\":[1,2]}");
    event = pb_event(JB_EVENT_CUSTOM, 0, NULL);
    ck_assert_str_eq(to_json(&event), "{\"type\":\"CUSTOM\"}");
    event = pb_event(400, 0, NULL);
    ck_assert_str_eq(to_json(&event), "{\"type\":\"EVENT_TYPE_400\"}");
    event = pb_event(JB_EVENT_LEARNING_DECISION_REQUEST, 0, NULL);
    pb_text(&event, 3, "LEARNING_DECISION_REQUEST");
    ck_assert_str_eq(to_json(&event), "{\"type\":\"LEARNING_DECISION_REQUEST\"}");
}
END_TEST

START_TEST(test_fields_of_a_newer_schema_are_stepped_over)
{
    struct pb state = {0};

    pb_text(&state, 5000, "news");
    pb_int(&state, 3, 1);
    pb_double(&state, 120, 1);
    ck_assert_str_eq(state_json(&state), "{\"ante\":1}");
}
END_TEST

START_TEST(test_changes_are_events)
{
    struct pb event = pb_event(JB_EVENT_GAME_STATE, 0, NULL), money = {0}, change;

    pb_double(&money, 2, 9);
    change = pb_event(JB_EVENT_MONEY_CHANGED, MONEY, &money);
    pb_message(&event, 10, &change);
    ck_assert_str_eq(to_json(&event), "{\"type\":\"GAME_STATE\",\"changes\":[{\"type\":"
                                      "\"MONEY_CHANGED\",\"payload\":{\"new_value\":9}}]}");
}
END_TEST

/* An event in an event in an event …; n of them. */
static struct pb nested(int n)
{
    struct pb event = pb_event(JB_EVENT_GAME_STATE, 0, NULL);

    for (int i = 1; i < n; i++) {
        struct pb outer = pb_event(JB_EVENT_GAME_STATE, 0, NULL);

        pb_message(&outer, 10, &event);
        event = outer;
    }
    return event;
}

START_TEST(test_nesting_has_an_end)
{
    struct pb deep = nested(64), deeper = nested(65);

    ck_assert_int_gt(jb_event_to_json(deep.bytes, deep.len, NULL, 0, NULL), 0);
    ck_assert_int_eq(jb_event_to_json(deeper.bytes, deeper.len, NULL, 0, NULL), JB_EPROTO);
}
END_TEST

START_TEST(test_malformed_bytes_are_refused_with_their_place)
{
    struct pb event = pb_event(JB_EVENT_GAME_STATE, 0, NULL);
    jb_error err;

    pb_text(&event, 5, "abc\xff");
    jb_error_init(&err);
    ck_assert_int_eq(jb_event_to_json(event.bytes, event.len, text, sizeof text, &err), JB_EPROTO);
    ck_assert_int_eq(err.code, JB_EPROTO);
    ck_assert_uint_eq(err.offset, 7);
    event = pb_event(JB_EVENT_GAME_STATE, 0, NULL);
    pb_int(&event, 5, 1);
    ck_assert_int_eq(jb_event_to_json(event.bytes, event.len, text, sizeof text, &err), JB_EPROTO);
    ck_assert_uint_eq(err.offset, 2);
}
END_TEST

/* Every room from nothing to enough: the length is the same and no byte lies outside. */
START_TEST(test_a_small_room_is_not_left)
{
    struct pb event = nested(3);
    int64_t need = jb_event_to_json(event.bytes, event.len, NULL, 0, NULL);

    for (int64_t cap = 0; cap <= need; cap++) {
        struct guard g = guard_alloc((size_t)cap);

        ck_assert_int_eq(
            jb_event_to_json(event.bytes, event.len, (char *)g.data, (size_t)cap, NULL), need);
        guard_free(&g);
    }
}
END_TEST

START_TEST(test_arguments_are_checked)
{
    ck_assert_int_eq(jb_event_to_json(NULL, 1, text, 1, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_event_to_json("", 0, NULL, 1, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_event_to_json(NULL, 0, NULL, 0, NULL), 2);
    ck_assert_int_eq(jb_event_to_json(text, JB_EVENT_MAX_BYTES + 1, NULL, 0, NULL), JB_EPROTO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema to_json");
    TCase *tc = suite_case(suite, "to_json");

    tcase_add_test(tc, test_each_kind_has_its_spelling);
    tcase_add_loop_test(tc, test_doubles_come_back_exactly, 0, sizeof doubles / sizeof doubles[0]);
    tcase_add_test(tc, test_enums_and_rarity_follow_the_dialect);
    tcase_add_test(tc, test_maps_are_objects_with_defaults);
    tcase_add_test(tc, test_the_last_of_a_single_field_counts);
    tcase_add_test(tc, test_a_list_in_pieces_is_one_list);
    tcase_add_test(tc, test_packed_and_single_numbers_are_one_list);
    tcase_add_test(tc, test_an_override_replaces_its_field);
    tcase_add_test(tc, test_an_override_that_is_not_json_becomes_a_string);
    tcase_add_test(tc, test_the_payload_can_be_overridden);
    tcase_add_test(tc, test_the_envelope_keeps_its_spelling);
    tcase_add_test(tc, test_types_are_named_whatever_they_are);
    tcase_add_test(tc, test_fields_of_a_newer_schema_are_stepped_over);
    tcase_add_test(tc, test_changes_are_events);
    tcase_add_test(tc, test_nesting_has_an_end);
    tcase_add_test(tc, test_malformed_bytes_are_refused_with_their_place);
    tcase_add_test(tc, test_a_small_room_is_not_left);
    tcase_add_test(tc, test_arguments_are_checked);
    return suite_run(suite);
}
