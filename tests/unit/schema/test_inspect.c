/*
 * Untrusted bytes: what jb_event_inspect() lets through and what it says of it.
 */
#include "jimbot/schema.h"
#include "pb.h"
#include "support/guard.h"
#include "support/suite.h"

#include <math.h>

static jb_error err;

static int inspect(const struct pb *event, jb_encoded *ret)
{
    struct guard g = guard_copy(event->bytes, event->len);
    int rc;

    jb_error_init(&err);
    rc = jb_event_inspect(g.data, event->len, ret, &err);
    /* The caller's bytes go; what the tests look at is copied. */
    guard_free(&g);
    return rc;
}

START_TEST(test_the_envelope_is_read)
{
    struct pb event = pb_event(JB_EVENT_MONEY_CHANGED, 0, NULL);
    jb_encoded encoded;

    pb_text(&event, 2, "id-1");
    pb_double(&event, 6, 12.5);
    pb_int(&event, 8, 2);
    ck_assert_int_eq(jb_event_inspect(event.bytes, event.len, &encoded, NULL), 0);
    ck_assert_ptr_eq(encoded.data, event.bytes);
    ck_assert_uint_eq(encoded.len_bytes, event.len);
    ck_assert_uint_eq(encoded.event_id_bytes, 4);
    ck_assert_ptr_eq(encoded.event_id, (char *)event.bytes + 4);
    ck_assert_int_eq(encoded.type, JB_EVENT_MONEY_CHANGED);
    ck_assert_int_eq(encoded.priority, JB_PRIORITY_HIGH);
    ck_assert(encoded.source_time == 12.5);
    ck_assert_str_eq(encoded.topic, "game.money.changed");
    ck_assert_uint_eq(encoded.topic_bytes, strlen(encoded.topic));
}
END_TEST

START_TEST(test_what_is_absent_is_said_to_be)
{
    struct pb event = pb_event(JB_EVENT_HEARTBEAT, 0, NULL);
    jb_encoded encoded;

    ck_assert_int_eq(inspect(&event, &encoded), 0);
    ck_assert_ptr_null(encoded.event_id);
    ck_assert(isnan(encoded.source_time));
    ck_assert_int_eq(encoded.priority, JB_PRIORITY_NORMAL);
    pb_text(&event, 2, "");
    ck_assert_int_eq(inspect(&event, &encoded), 0);
    ck_assert_ptr_nonnull(encoded.event_id);
}
END_TEST

START_TEST(test_topics_follow_type_subtype_and_name)
{
    struct pb metric = {0}, event;
    jb_encoded encoded;

    pb_text(&metric, 1, "Frame Time");
    event = pb_event(JB_EVENT_METRIC, 51, &metric);
    ck_assert_int_eq(inspect(&event, &encoded), 0);
    ck_assert_str_eq(encoded.topic, "metrics.frame_time");
    event = pb_event(JB_EVENT_SCORING, 0, NULL);
    pb_text(&event, 4, "HAND_EVAL_START");
    ck_assert_int_eq(inspect(&event, &encoded), 0);
    ck_assert_str_eq(encoded.topic, "game.scoring.hand_eval_start");
    event = pb_event(JB_EVENT_CUSTOM, 0, NULL);
    pb_text(&event, 3, "My.Mod > *");
    ck_assert_int_eq(inspect(&event, &encoded), 0);
    ck_assert_str_eq(encoded.topic, "custom.my_mod____");
}
END_TEST

START_TEST(test_a_type_of_a_newer_schema_is_custom)
{
    struct pb event = pb_event(77, 0, NULL);
    jb_encoded encoded;

    pb_text(&event, 900, "a field of it");
    ck_assert_int_eq(inspect(&event, &encoded), 0);
    ck_assert_int_eq(encoded.type, JB_EVENT_CUSTOM);
    ck_assert_str_eq(encoded.topic, "custom.unnamed");
}
END_TEST

START_TEST(test_an_event_without_type_is_none)
{
    struct pb event = {0};
    jb_encoded encoded = {.type = 99};

    ck_assert_int_eq(inspect(&event, &encoded), JB_EEVENT);
    pb_text(&event, 2, "id");
    ck_assert_int_eq(inspect(&event, &encoded), JB_EEVENT);
    pb_int(&event, 1, 0);
    ck_assert_int_eq(inspect(&event, &encoded), JB_EEVENT);
    pb_int(&event, 1, -3);
    ck_assert_int_eq(inspect(&event, &encoded), JB_EEVENT);
    ck_assert_int_eq(encoded.type, 99);
}
END_TEST

/* A state with something of everything. */
static struct pb rich(void)
{
    struct pb state = {0}, card = {0}, entry = {0}, item = {0}, event;

    pb_text(&card, 1, "card");
    pb_int(&card, 2, 14);
    pb_message(&state, 20, &card);
    pb_double(&item, 2, 5);
    pb_text(&entry, 1, "joker_1");
    pb_message(&entry, 2, &item);
    pb_message(&state, 23, &entry);
    pb_text(&state, 700, "unknown");
    pb_extra(&state, "mod", -1, "[1]");
    event = pb_event(JB_EVENT_GAME_STATE, 34, &state);
    pb_text(&event, 5, "source");
    return event;
}

/* The event's fields end where they end: cut inside one, it is refused. */
START_TEST(test_an_event_cut_anywhere_inside_a_field_is_refused)
{
    struct pb event = rich(), cut = event;
    size_t payload_end = event.len - 8;
    jb_encoded encoded;

    ck_assert_int_eq(inspect(&event, &encoded), 0);
    for (cut.len = 0; cut.len < event.len; cut.len++) {
        bool whole = cut.len == 2 || cut.len == payload_end;

        ck_assert_int_eq(inspect(&cut, &encoded), whole ? 0 : cut.len == 0 ? JB_EEVENT : JB_EPROTO);
        ck_assert(whole || err.offset <= cut.len);
    }
}
END_TEST

START_TEST(test_a_wire_type_against_the_schema_is_refused)
{
    struct pb state = {0}, event;
    jb_encoded encoded;

    pb_int(&state, 8, 5); /* money is a double */
    event = pb_event(JB_EVENT_GAME_STATE, 34, &state);
    ck_assert_int_eq(inspect(&event, &encoded), JB_EPROTO);
    ck_assert_str_eq(err.msg,
                     "game_state.money: a field has another wire type than the schema says "
                     "at byte 5");
    ck_assert_uint_eq(err.offset, 5);
}
END_TEST

static uint32_t number_in(const char *path, int part)
{
    jb_field field;

    ck_assert_int_eq(jb_field_parse(path, strlen(path), &field, &err), 0);
    return field.numbers[part];
}

/* The path is that of the innermost field, for whoever reads the bytes. */
static void is_at(const struct pb *event, const char *path)
{
    char json[64];
    jb_encoded encoded;

    jb_error_init(&err);
    ck_assert_int_eq(inspect(event, &encoded), JB_EPROTO);
    ck_assert_msg(strncmp(err.msg, path, strlen(path)) == 0, "%s, not %s", err.msg, path);
    jb_error_init(&err);
    memset(json, 'x', sizeof json);
    ck_assert_int_eq(jb_event_to_json(event->bytes, event->len, json, sizeof json, &err),
                     JB_EPROTO);
    ck_assert_ptr_null(memchr(json, '{', sizeof json)); /* half a document is not left behind */
    ck_assert_msg(strncmp(err.msg, path, strlen(path)) == 0, "%s, not %s", err.msg, path);
    ck_assert_int_eq(jb_event_canonical(event->bytes, event->len, NULL, 0, &err), JB_EPROTO);
    ck_assert_msg(strncmp(err.msg, path, strlen(path)) == 0, "%s, not %s", err.msg, path);
}

START_TEST(test_a_fault_has_a_path)
{
    struct pb card = {0}, state = {0}, item = {0}, entry = {0}, event;

    pb_text(&card, number_in("game_state.blind.name", 2), "\xff");
    pb_bytes(&state, number_in("game_state.blind.name", 1), card.bytes, card.len);
    event = pb_event(JB_EVENT_GAME_STATE, 34, &state);
    is_at(&event, "game_state.blind.name: a string is not UTF-8 at byte");

    state.len = card.len = 0;
    pb_bytes(&state, number_in("game_state.hand.length", 1), NULL, 0);
    pb_varint(&card, 8u << 3 | 7); /* no such wire type */
    pb_bytes(&state, number_in("game_state.hand.length", 1), card.bytes, card.len);
    event = pb_event(JB_EVENT_GAME_STATE, 34, &state);
    is_at(&event, "game_state.hand[1]: a tag is malformed");

    state.len = 0;
    pb_text(&item, 1, "\xff");
    pb_text(&entry, 1, "joker_1");
    pb_bytes(&entry, 2, item.bytes, item.len);
    pb_bytes(&state, number_in("game_state.shop_items.length", 1), entry.bytes, entry.len);
    event = pb_event(JB_EVENT_GAME_STATE, 34, &state);
    is_at(&event, "game_state.shop_items[0].name: a string is not UTF-8");

    event.len = 0;
    pb_raw(&event, "\x12\x7f", 2);
    is_at(&event, "event_id: a value is cut off at byte 0");
    event.len = 0;
    pb_raw(&event, "\x08\x03\x03", 3);
    is_at(&event, "event: a tag is malformed at byte 2");
}
END_TEST

START_TEST(test_text_that_is_not_utf8_is_refused_everywhere)
{
    struct pb entry = {0}, state = {0}, extra = {0}, event;
    jb_encoded encoded;

    pb_text(&entry, 1, "k\xed\xa0\x80");
    pb_message(&state, 24, &entry);
    event = pb_event(JB_EVENT_GAME_STATE, 34, &state);
    ck_assert_int_eq(inspect(&event, &encoded), JB_EPROTO);
    pb_text(&extra, 3, "\"\xff\"");
    event = pb_event(JB_EVENT_GAME_STATE, 15, &extra);
    ck_assert_int_eq(inspect(&event, &encoded), JB_EPROTO);
    ck_assert_uint_eq(err.offset, event.len - 2);
}
END_TEST

START_TEST(test_packed_numbers_are_checked)
{
    struct pb response = {0}, event;
    jb_encoded encoded;

    pb_bytes(&response, 9, "12345678", 8);
    event = pb_event(JB_EVENT_LEARNING_DECISION_RESPONSE, 46, &response);
    ck_assert_int_eq(inspect(&event, &encoded), 0);
    pb_bytes(&response, 9, "1234567", 7);
    event = pb_event(JB_EVENT_LEARNING_DECISION_RESPONSE, 46, &response);
    ck_assert_int_eq(inspect(&event, &encoded), JB_EPROTO);
}
END_TEST

START_TEST(test_nesting_has_an_end)
{
    struct pb event = pb_event(JB_EVENT_GAME_STATE, 0, NULL);
    jb_encoded encoded;

    for (int depth = 2; depth <= 80; depth++) {
        struct pb outer = pb_event(JB_EVENT_GAME_STATE, 0, NULL);

        pb_message(&outer, 10, &event);
        event = outer;
        ck_assert_int_eq(inspect(&event, &encoded), depth <= 64 ? 0 : JB_EPROTO);
    }
    ck_assert_ptr_nonnull(strstr(err.msg, "nested too deep"));
}
END_TEST

START_TEST(test_groups_are_refused)
{
    struct pb event = pb_event(JB_EVENT_GAME_STATE, 0, NULL);
    jb_encoded encoded;

    pb_raw(&event, "\x83\x7d\x84\x7d", 4); /* an unknown field 2000, begin and end of a group */
    ck_assert_int_eq(inspect(&event, &encoded), JB_EPROTO);
    ck_assert_uint_eq(err.offset, 2);
}
END_TEST

START_TEST(test_size_and_arguments_are_checked)
{
    jb_encoded encoded;

    ck_assert_int_eq(jb_event_inspect("", JB_EVENT_MAX_BYTES + 1u, &encoded, &err), JB_ETOOBIG);
    ck_assert_int_eq(jb_event_inspect(NULL, 1, &encoded, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_event_inspect("\x08\x03", 2, NULL, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_event_inspect(NULL, 0, &encoded, NULL), JB_EEVENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema inspect");
    TCase *tc = suite_case(suite, "inspect");

    tcase_add_test(tc, test_the_envelope_is_read);
    tcase_add_test(tc, test_what_is_absent_is_said_to_be);
    tcase_add_test(tc, test_topics_follow_type_subtype_and_name);
    tcase_add_test(tc, test_a_type_of_a_newer_schema_is_custom);
    tcase_add_test(tc, test_an_event_without_type_is_none);
    tcase_add_test(tc, test_an_event_cut_anywhere_inside_a_field_is_refused);
    tcase_add_test(tc, test_a_wire_type_against_the_schema_is_refused);
    tcase_add_test(tc, test_a_fault_has_a_path);
    tcase_add_test(tc, test_text_that_is_not_utf8_is_refused_everywhere);
    tcase_add_test(tc, test_packed_numbers_are_checked);
    tcase_add_test(tc, test_nesting_has_an_end);
    tcase_add_test(tc, test_groups_are_refused);
    tcase_add_test(tc, test_size_and_arguments_are_checked);
    return suite_run(suite);
}
