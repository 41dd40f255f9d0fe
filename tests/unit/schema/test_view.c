/*
 * A walk over an event's fields (jimbot/view.h): what it gives, in which order, where it stops.
 */
#include "encode.h"
#include "pb.h"
#include "support/guard.h"

static jb_view view;
static jb_value value;

static void open_event(const struct pb *event)
{
    jb_error_init(&err);
    ck_assert_int_eq(jb_view_open(event->bytes, event->len, &view), 0);
}

/* Open an event with that payload, inside the payload. */
static void open_payload(int64_t type, uint32_t number, const struct pb *payload)
{
    static struct pb event;
    jb_view outer;

    event = pb_event(type, number, payload);
    open_event(&event);
    outer = view;
    ck_assert_int_eq(jb_view_payload(&outer, &value, &err), 1);
    ck_assert_uint_eq(value.number, number);
    ck_assert_int_eq(jb_view_enter(&outer, &value, &view), 0);
}

static void next_is(uint32_t number, uint32_t kind, const char *name)
{
    ck_assert_msg(jb_view_next(&view, &value, &err) == 1, "%s", err.msg);
    ck_assert_uint_eq(value.number, number);
    ck_assert_uint_eq(value.kind, kind);
    ck_assert_str_eq(value.name, name);
}

static void text_is(const char *text)
{
    ck_assert_uint_eq(value.len_bytes, strlen(text));
    ck_assert_mem_eq(value.text, text, value.len_bytes);
}

static void fails_at(uint64_t offset, const char *msg)
{
    ck_assert_int_eq(jb_view_next(&view, &value, &err), JB_EPROTO);
    ck_assert_msg(strstr(err.msg, msg) != NULL, "'%s' does not say '%s'", err.msg, msg);
    ck_assert_uint_eq(err.offset, offset);
}

START_TEST(test_every_kind_has_its_value)
{
    struct pb state = {0}, custom = {0};

    pb_int(&state, 1, 1);
    pb_text(&state, 2, "SEED");
    pb_int(&state, 3, -5);
    pb_double(&state, 8, 2.5);
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    next_is(1, JB_FIELD_BOOL, "in_game");
    ck_assert_int_eq(value.integer, 1);
    next_is(2, JB_FIELD_STRING, "game_id");
    text_is("SEED");
    ck_assert_ptr_null(value.key);
    next_is(3, JB_FIELD_INT, "ante");
    ck_assert_int_eq(value.integer, -5);
    next_is(8, JB_FIELD_DOUBLE, "money");
    ck_assert(value.real == 2.5);
    ck_assert_int_eq(jb_view_next(&view, &value, &err), 0);
    ck_assert_int_eq(jb_view_next(&view, &value, &err), 0);
    pb_text(&custom, 1, "{\"a\":1}");
    open_payload(JB_EVENT_CUSTOM, 63, &custom);
    next_is(1, JB_FIELD_JSON, "json");
    text_is("{\"a\":1}");
}
END_TEST

START_TEST(test_an_enum_knows_its_name)
{
    struct pb card = {0}, state = {0};
    jb_view hand;

    pb_int(&card, 2, 14);
    pb_int(&card, 2, 77);
    pb_message(&state, 20, &card);
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    next_is(20, JB_FIELD_MESSAGE, "hand");
    ck_assert_int_eq(jb_view_enter(&view, &value, &hand), 0);
    ck_assert_ptr_null(jb_value_enum_name(&value));
    view = hand;
    next_is(2, JB_FIELD_ENUM, "rank");
    ck_assert_int_eq(value.integer, 14);
    ck_assert_str_eq(jb_value_enum_name(&value), "Ace");
    next_is(2, JB_FIELD_ENUM, "rank");
    ck_assert_int_eq(value.integer, 77);
    ck_assert_ptr_null(jb_value_enum_name(&value));
}
END_TEST

/* As protobuf reads it, and as jb_event_to_json() writes it. */
START_TEST(test_a_uint32_of_more_bits_is_cut)
{
    struct pb extra = {0}, event = {0};

    pb_int(&extra, 2, ((int64_t)1 << 32) + 3);
    pb_message(&event, 15, &extra);
    ck_assert_int_eq(jb_view_open(event.bytes, event.len, &view), 0);
    next_is(15, JB_FIELD_MESSAGE, "extras");
    ck_assert_int_eq(jb_view_enter(&view, &value, &view), 0);
    next_is(2, JB_FIELD_INT, "index");
    ck_assert_int_eq(value.integer, 3);
}
END_TEST

START_TEST(test_the_type_of_an_event_knows_its_name)
{
    static const uint8_t event[] = {1 << 3, JB_EVENT_MONEY_CHANGED, 1 << 3, 99};

    ck_assert_int_eq(jb_view_open(event, sizeof event, &view), 0);
    next_is(1, JB_FIELD_ENUM, "type");
    ck_assert_str_eq(jb_value_enum_name(&value), "MONEY_CHANGED");
    next_is(1, JB_FIELD_ENUM, "type");
    ck_assert_ptr_null(jb_value_enum_name(&value));
}
END_TEST

/* Packed numbers and numbers one by one are the same list. */
START_TEST(test_a_list_comes_value_by_value)
{
    struct pb response = {0};
    uint8_t packed[16];

    jbi_wire_put_double(packed, 1.5);
    jbi_wire_put_double(packed + 8, 2.5);
    pb_bytes(&response, 9, packed, 16);
    pb_bytes(&response, 9, "", 0);
    pb_double(&response, 9, 3.5);
    pb_bytes(&response, 9, "", 0);
    open_payload(JB_EVENT_LEARNING_DECISION_RESPONSE, 46, &response);
    for (int i = 1; i <= 3; i++) {
        next_is(9, JB_FIELD_DOUBLE, "action_values");
        ck_assert(value.real == i + 0.5);
    }
    ck_assert_int_eq(jb_view_next(&view, &value, &err), 0);
    ck_assert_int_eq(jb_view_next(&view, &value, &err), 0);
}
END_TEST

START_TEST(test_a_value_in_a_map_has_its_key)
{
    struct pb entry = {0}, item = {0}, state = {0}, empty = {0};

    pb_double(&item, 2, 5);
    pb_message(&entry, 2, &item);
    pb_text(&entry, 1, "joker_1");
    pb_message(&state, 23, &entry);
    pb_message(&state, 23, &empty);
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    next_is(23, JB_FIELD_MESSAGE, "shop_items");
    ck_assert_uint_eq(value.key_bytes, 7);
    ck_assert_mem_eq(value.key, "joker_1", 7);
    ck_assert_int_eq(jb_view_enter(&view, &value, &view), 0);
    next_is(2, JB_FIELD_DOUBLE, "cost");
    ck_assert_ptr_null(value.key);
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    next_is(23, JB_FIELD_MESSAGE, "shop_items");
    next_is(23, JB_FIELD_MESSAGE, "shop_items");
    ck_assert_uint_eq(value.key_bytes + value.len_bytes, 0);
    ck_assert_int_eq(jb_view_enter(&view, &value, &view), 0);
    ck_assert_int_eq(jb_view_next(&view, &value, &err), 0);
}
END_TEST

START_TEST(test_what_the_schema_does_not_know_is_given_as_bytes)
{
    struct pb event = pb_event(JB_EVENT_HEARTBEAT, 0, NULL);

    pb_text(&event, 50000, "own");
    pb_int(&event, 50001, 300);
    open_event(&event);
    next_is(1, JB_FIELD_ENUM, "type");
    ck_assert_int_eq(jb_view_next(&view, &value, &err), 1);
    ck_assert_uint_eq(value.kind, JB_FIELD_UNKNOWN);
    ck_assert_uint_eq(value.number, 50000);
    ck_assert_ptr_null(value.name);
    text_is("\003own");
    ck_assert_int_eq(jb_view_next(&view, &value, &err), 1);
    ck_assert_uint_eq(value.number, 50001);
    text_is("\xac\x02");
}
END_TEST

START_TEST(test_find_gives_the_last_and_does_not_move)
{
    struct pb state = {0};
    jb_view before;

    pb_double(&state, 8, 1);
    pb_int(&state, 3, 2);
    pb_double(&state, 8, 3);
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    before = view;
    ck_assert_int_eq(jb_view_find(&view, 8, &value, &err), 1);
    ck_assert(value.real == 3);
    ck_assert_int_eq(jb_view_find(&view, 20, &value, &err), 0);
    ck_assert_mem_eq(&before, &view, sizeof view);
    ck_assert_int_eq(jb_view_find(&view, 0, &value, &err), JB_EINVAL);
}
END_TEST

START_TEST(test_the_payload_is_the_last_member_of_the_oneof)
{
    struct pb empty = {0}, event = pb_event(JB_EVENT_GAME_STATE, 34, &empty);

    pb_message(&event, 35, &empty);
    pb_text(&event, 5, "source");
    open_event(&event);
    ck_assert_int_eq(jb_view_payload(&view, &value, &err), 1);
    ck_assert_str_eq(value.name, "money_changed");
    event = pb_event(JB_EVENT_HEARTBEAT, 0, NULL);
    open_event(&event);
    ck_assert_int_eq(jb_view_payload(&view, &value, &err), 0);
}
END_TEST

START_TEST(test_an_error_names_its_byte_and_the_view_stays)
{
    struct pb state = {0};

    pb_int(&state, 3, 1);
    pb_int(&state, 8, 5); /* money is a double */
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    next_is(3, JB_FIELD_INT, "ante");
    fails_at(7, "a field has another wire type than the schema says at byte 7, in a message Game");
    fails_at(7, "another wire type");
    state.len = 0;
    pb_text(&state, 2, "\xff");
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    fails_at(5, "not UTF-8");
    state.len = 0;
    pb_raw(&state, "\x12\x05text", 6);
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    fails_at(5, "cut off");
    state.len = 0;
    pb_raw(&state, "\x83\x7d\x84\x7d", 4); /* a group */
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    fails_at(5, "a tag is malformed");
}
END_TEST

START_TEST(test_a_fault_inside_a_list_or_a_map_is_found)
{
    struct pb response = {0}, entry = {0}, state = {0};

    pb_bytes(&response, 9, "1234567812", 10);
    open_payload(JB_EVENT_LEARNING_DECISION_RESPONSE, 46, &response);
    next_is(9, JB_FIELD_DOUBLE, "action_values");
    fails_at(response.len + 5 - 2, "cut off");
    pb_int(&entry, 1, 5);
    pb_message(&state, 23, &entry);
    open_payload(JB_EVENT_GAME_STATE, 34, &state);
    fails_at(5, "another wire type");
}
END_TEST

/* As deep as an event may be, and no deeper. */
START_TEST(test_nesting_has_an_end)
{
    struct pb event = pb_event(JB_EVENT_GAME_STATE, 0, NULL);
    int rc = 0, depth;

    for (depth = 1; depth < 80; depth++) {
        struct pb outer = {0};

        pb_message(&outer, 10, &event);
        event = outer;
    }
    open_event(&event);
    for (depth = 1; rc == 0; depth++) {
        ck_assert_int_eq(jb_view_next(&view, &value, &err), 1);
        rc = jb_view_enter(&view, &value, &view);
    }
    ck_assert_int_eq(rc, JB_EPROTO);
    ck_assert_int_eq(depth, 65);
}
END_TEST

START_TEST(test_arguments_are_checked)
{
    struct pb event = pb_event(JB_EVENT_HEARTBEAT, 0, NULL);
    char elsewhere = 0;

    ck_assert_int_eq(jb_view_open(NULL, 1, &view), JB_EINVAL);
    ck_assert_int_eq(jb_view_open("", 0, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_view_open("", JB_EVENT_MAX_BYTES + 1u, &view), JB_ETOOBIG);
    ck_assert_int_eq(jb_view_open(NULL, 0, &view), 0);
    ck_assert_int_eq(jb_view_next(&view, &value, NULL), 0);
    ck_assert_int_eq(jb_view_next(NULL, &value, &err), JB_EINVAL);
    ck_assert_int_eq(jb_view_next(&view, NULL, &err), JB_EINVAL);
    open_event(&event);
    next_is(1, JB_FIELD_ENUM, "type");
    ck_assert_int_eq(jb_view_enter(&view, &value, &view), JB_EINVAL);
    value = (jb_value){.kind = JB_FIELD_MESSAGE, .text = &elsewhere};
    ck_assert_int_eq(jb_view_enter(&view, &value, &view), JB_EINVAL);
    ck_assert_int_eq(jb_view_find(NULL, 1, &value, &err), JB_EINVAL);
    ck_assert_int_eq(jb_view_payload(&view, NULL, &err), JB_EINVAL);
    ck_assert_ptr_null(jb_value_enum_name(NULL));
}
END_TEST

/* Cut anywhere, no byte after the cut is read. */
START_TEST(test_nothing_is_read_past_the_end)
{
    encoder_open();
    ck_assert_int_eq(
        encode("{\"type\":\"GAME_STATE\",\"payload\":{\"ante\":2,\"money\":1.5,\"hand\":"
               "[{\"rank\":\"Ace\",\"suit\":\"Hearts\"}],\"shop_items\":{\"joker_1\":"
               "{\"cost\":3}},\"mod\":[1]}}"),
        0);
    for (size_t len = 0; len <= made.len_bytes; len++) {
        struct guard g = guard_copy(made.data, len);

        ck_assert_int_eq(jb_view_open(g.data, len, &view), 0);
        while (jb_view_next(&view, &value, NULL) == 1) {
            jb_view inner;

            if (jb_view_enter(&view, &value, &inner) != 0)
                continue;
            while (jb_view_next(&inner, &value, NULL) == 1)
                ck_assert_ptr_nonnull(value.name);
        }
        guard_free(&g);
    }
    encoder_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema view");
    TCase *tc = suite_case(suite, "view");

    tcase_add_test(tc, test_every_kind_has_its_value);
    tcase_add_test(tc, test_an_enum_knows_its_name);
    tcase_add_test(tc, test_the_type_of_an_event_knows_its_name);
    tcase_add_test(tc, test_a_uint32_of_more_bits_is_cut);
    tcase_add_test(tc, test_a_list_comes_value_by_value);
    tcase_add_test(tc, test_a_value_in_a_map_has_its_key);
    tcase_add_test(tc, test_what_the_schema_does_not_know_is_given_as_bytes);
    tcase_add_test(tc, test_find_gives_the_last_and_does_not_move);
    tcase_add_test(tc, test_the_payload_is_the_last_member_of_the_oneof);
    tcase_add_test(tc, test_an_error_names_its_byte_and_the_view_stays);
    tcase_add_test(tc, test_a_fault_inside_a_list_or_a_map_is_found);
    tcase_add_test(tc, test_nesting_has_an_end);
    tcase_add_test(tc, test_arguments_are_checked);
    tcase_add_test(tc, test_nothing_is_read_past_the_end);
    return suite_run(suite);
}
