/*
 * Paths to one scalar, and columns of them.
 */
#include "jimbot/schema.h"
#include "pb.h"
#include "support/guard.h"
#include "support/suite.h"

#include <math.h>

static jb_field field_of(const char *path)
{
    jb_field field;
    jb_error err;

    ck_assert_msg(jb_field_parse(path, strlen(path), &field, &err) == 0, "%s", err.msg);
    return field;
}

static int get_int(const char *path, const struct pb *event, int64_t *ret)
{
    jb_field field = field_of(path);
    struct guard g = guard_copy(event->bytes, event->len);
    int rc = jb_field_get_int(&field, g.data, event->len, ret);

    guard_free(&g);
    return rc;
}

static int get_double(const char *path, const struct pb *event, double *ret)
{
    jb_field field = field_of(path);

    return jb_field_get_double(&field, event->bytes, event->len, ret);
}

static struct pb state_event(const struct pb *state)
{
    return pb_event(JB_EVENT_GAME_STATE, 34, state);
}

static const struct {
    const char *path;
    int kind, n_numbers;
    uint32_t lo, hi;
} good[] = {
    {"type", JB_FIELD_ENUM, 1, UINT32_MAX, UINT32_MAX},
    {"timestamp", JB_FIELD_DOUBLE, 1, UINT32_MAX, UINT32_MAX},
    {"game_state.money", JB_FIELD_DOUBLE, 2, 1u << 3, 0},
    {"game_state.in_game", JB_FIELD_BOOL, 2, 1u << 3, 0},
    {"game_state.blind.boss.name", JB_FIELD_STRING, 4, 1u << 3, 0},
    {"score_changed.new_chips", JB_FIELD_DOUBLE, 2, 1u << 5, 0},
    {"learning_decision_request.game_state.ante", JB_FIELD_INT, 3, 1u << 14, 0},
    {"game_state.hand.length", JB_FIELD_INT, 2, 1u << 3, 0},
    {"custom.json", JB_FIELD_STRING, 2, 0, 1},
    {"state_snapshot.game_state", JB_FIELD_ENUM, 2, 1u << 30, 0},
};

START_TEST(test_a_path_is_compiled)
{
    jb_field field = field_of(good[_i].path);

    ck_assert_uint_eq(field.size, sizeof field);
    ck_assert_int_eq(field.kind, good[_i].kind);
    ck_assert_int_eq(field.n_numbers, good[_i].n_numbers);
    ck_assert_uint_eq(field.type_mask_lo, good[_i].lo);
    ck_assert_uint_eq(field.type_mask_hi, good[_i].hi);
}
END_TEST

static const struct {
    const char *path;
    int code;
    uint64_t offset;
} bad[] = {
    {"nonsense", JB_ENOENT, 0},
    {"game_state.nonsense", JB_ENOENT, 11},
    {"game_state", JB_EINVAL, 0},
    {"game_state.hand", JB_EINVAL, 11},
    {"game_state.hand.id", JB_EINVAL, 16},
    {"game_state.hand.length.x", JB_EINVAL, 16},
    {"game_state.money.length", JB_EINVAL, 11},
    {"game_state..money", JB_ENOENT, 11},
    {"game_state.money.", JB_EINVAL, 11},
    {".", JB_ENOENT, 0},
    {"game_state.", JB_ENOENT, 11},
    {"game_state.shop_items.joker_1", JB_EINVAL, 22},
};

START_TEST(test_a_path_that_leads_nowhere_is_refused)
{
    jb_field field = {.size = 1};
    jb_error err;

    jb_error_init(&err);
    ck_assert_int_eq(jb_field_parse(bad[_i].path, strlen(bad[_i].path), &field, &err),
                     bad[_i].code);
    ck_assert_uint_eq(err.offset, bad[_i].offset);
    ck_assert_uint_eq(field.size, 1);
    ck_assert_uint_gt(strlen(err.msg), 10);
}
END_TEST

START_TEST(test_numbers_are_read_by_kind)
{
    struct pb state = {0}, event;
    int64_t i = 0;
    double d = 0;

    pb_int(&state, 1, 5);
    pb_int(&state, 3, -7);
    pb_double(&state, 8, -2.9);
    pb_int(&state, 12, -4);
    event = state_event(&state);
    ck_assert(get_int("game_state.in_game", &event, &i) == 1 && i == 1);
    ck_assert(get_int("game_state.ante", &event, &i) == 1 && i == -7);
    ck_assert(get_double("game_state.ante", &event, &d) == 1 && d == -7);
    ck_assert(get_int("game_state.money", &event, &i) == 1 && i == -2);
    ck_assert(get_double("game_state.money", &event, &d) == 1 && d == -2.9);
    ck_assert(get_int("game_state.game_state", &event, &i) == 1 && i == -4);
}
END_TEST

static const struct {
    double value;
    int64_t want;
} clamped[] = {
    {INFINITY, INT64_MAX}, {-INFINITY, INT64_MIN}, {NAN, 0}, {9.3e18, INT64_MAX}, {-0.5, 0},
};

START_TEST(test_doubles_are_clamped_to_integers)
{
    struct pb state = {0}, event;
    int64_t i = 1;

    pb_double(&state, 8, clamped[_i].value);
    event = state_event(&state);
    ck_assert_int_eq(get_int("game_state.money", &event, &i), 1);
    ck_assert_int_eq(i, clamped[_i].want);
}
END_TEST

START_TEST(test_the_last_occurrence_counts)
{
    struct pb state = {0}, again = {0}, event;
    int64_t i = 0;

    pb_int(&state, 3, 1);
    pb_int(&state, 3, 2);
    event = state_event(&state);
    ck_assert(get_int("game_state.ante", &event, &i) == 1 && i == 2);
    pb_int(&again, 3, 9);
    pb_message(&event, 34, &again);
    ck_assert(get_int("game_state.ante", &event, &i) == 1 && i == 9);
}
END_TEST

START_TEST(test_what_is_absent_leaves_the_result_alone)
{
    struct pb state = {0}, event = state_event(&state), none = pb_event(3, 0, NULL);
    int64_t i = 42;

    ck_assert_int_eq(get_int("game_state.ante", &event, &i), 0);
    ck_assert_int_eq(get_int("game_state.ante", &none, &i), 0);
    ck_assert_int_eq(get_int("game_state.hand.length", &none, &i), 0);
    ck_assert_int_eq(i, 42);
    ck_assert(get_int("game_state.hand.length", &event, &i) == 1 && i == 0);
}
END_TEST

START_TEST(test_lengths_count_elements)
{
    struct pb state = {0}, response = {0}, event;
    int64_t i = 0;

    pb_text(&state, 37, "a");
    pb_int(&state, 3, 1);
    pb_text(&state, 37, "b");
    pb_bytes(&state, 24, "", 0);
    event = state_event(&state);
    ck_assert(get_int("game_state.vouchers.length", &event, &i) == 1 && i == 2);
    ck_assert(get_int("game_state.score_history.length", &event, &i) == 1 && i == 1);
    pb_bytes(&response, 9, "1234567812345678", 16);
    pb_double(&response, 9, 1);
    event = pb_event(15, 46, &response);
    ck_assert(get_int("learning_decision_response.action_values.length", &event, &i) == 1 &&
              i == 3);
}
END_TEST

START_TEST(test_strings_are_borrowed)
{
    jb_field field = field_of("source");
    struct pb event = pb_event(3, 0, NULL);
    const char *text = NULL;
    size_t len = 0;
    int64_t i;

    ck_assert_int_eq(jb_field_get_string(&field, event.bytes, event.len, &text, &len), 0);
    pb_text(&event, 5, "BalatroMCP");
    ck_assert_int_eq(jb_field_get_string(&field, event.bytes, event.len, &text, &len), 1);
    ck_assert_ptr_eq(text, (char *)event.bytes + 4);
    ck_assert_uint_eq(len, 10);
    ck_assert_int_eq(jb_field_get_int(&field, event.bytes, event.len, &i), JB_EINVAL);
    field = field_of("timestamp");
    ck_assert_int_eq(jb_field_get_string(&field, event.bytes, event.len, &text, &len), JB_EINVAL);
}
END_TEST

START_TEST(test_malformed_bytes_are_refused)
{
    struct pb state = {0}, event;
    int64_t i = 42;

    pb_double(&state, 3, 1); /* ante is an integer */
    event = state_event(&state);
    ck_assert_int_eq(get_int("game_state.ante", &event, &i), JB_EPROTO);
    ck_assert_int_eq(get_int("game_state.round", &event, &i), 0);
    event.len -= 3;
    ck_assert_int_eq(get_int("game_state.round", &event, &i), JB_EPROTO);
    ck_assert_int_eq(i, 42);
}
END_TEST

START_TEST(test_a_field_that_was_not_parsed_is_refused)
{
    jb_field field = {0};
    int64_t i;

    ck_assert_int_eq(jb_field_get_int(&field, "", 0, &i), JB_EINVAL);
    ck_assert_int_eq(jb_field_get_int(NULL, "", 0, &i), JB_EINVAL);
    ck_assert_int_eq(jb_field_parse("", 0, &field, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_field_parse("type", 4, NULL, NULL), JB_EINVAL);
    field = field_of("type");
    field.n_numbers = 13;
    ck_assert_int_eq(jb_field_get_int(&field, "", 0, &i), JB_EINVAL);
}
END_TEST

/* An event whose type cannot hold the field is skipped: its payload is a page nobody may read. */
START_TEST(test_a_column_skips_other_types_untouched)
{
    struct guard forbidden = guard_alloc(0);
    struct pb state = {0}, event;
    jb_field field = field_of("game_state.money");
    jb_event events[3] = {
        {.type = JB_EVENT_MONEY_CHANGED, .payload = forbidden.data, .len_bytes = 9},
        {.type = 900, .payload = forbidden.data, .len_bytes = 9}};
    double out[3] = {7, 7, 7};
    uint8_t valid[3];

    pb_double(&state, 8, 3.5);
    event = state_event(&state);
    events[2] = (jb_event){.type = 3, .payload = event.bytes, .len_bytes = (uint32_t)event.len};
    ck_assert_int_eq(jb_field_column_double(&field, events, 3, out, valid), 1);
    ck_assert(out[0] == 0 && out[1] == 0 && out[2] == 3.5);
    ck_assert_mem_eq(valid, "\0\0\1", 3);
    guard_free(&forbidden);
}
END_TEST

START_TEST(test_a_column_of_integers_marks_what_is_malformed)
{
    struct pb state = {0}, event;
    jb_field field = field_of("game_state.ante"), text = field_of("source");
    jb_event events[2];
    int64_t out[2] = {7, 7};
    uint8_t valid[2];

    pb_int(&state, 3, 4);
    event = state_event(&state);
    events[0] = (jb_event){.type = 3, .payload = event.bytes, .len_bytes = (uint32_t)event.len};
    events[1] = (jb_event){.type = 3, .payload = event.bytes, .len_bytes = (uint32_t)event.len - 1};
    ck_assert_int_eq(jb_field_column_int(&field, events, 2, out, valid), 1);
    ck_assert(out[0] == 4 && valid[0] == 1 && out[1] == 0 && valid[1] == 0);
    ck_assert_int_eq(jb_field_column_int(&field, events, 2, out, NULL), 1);
    ck_assert_int_eq(jb_field_column_int(&text, events, 2, out, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_field_column_int(&field, NULL, 0, NULL, NULL), 0);
}
END_TEST

START_TEST(test_columns_of_the_envelope_take_every_type)
{
    struct pb event = pb_event(7, 0, NULL);
    jb_field field = field_of("version");
    jb_event one = {.type = 700, .payload = event.bytes};
    int64_t out = 0;

    pb_int(&event, 7, 3);
    one.len_bytes = (uint32_t)event.len;
    ck_assert_int_eq(jb_field_column_int(&field, &one, 1, &out, NULL), 1);
    ck_assert_int_eq(out, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema field");
    TCase *tc = suite_case(suite, "field");

    tcase_add_loop_test(tc, test_a_path_is_compiled, 0, sizeof good / sizeof good[0]);
    tcase_add_loop_test(tc, test_a_path_that_leads_nowhere_is_refused, 0,
                        sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, test_numbers_are_read_by_kind);
    tcase_add_loop_test(tc, test_doubles_are_clamped_to_integers, 0,
                        sizeof clamped / sizeof clamped[0]);
    tcase_add_test(tc, test_the_last_occurrence_counts);
    tcase_add_test(tc, test_what_is_absent_leaves_the_result_alone);
    tcase_add_test(tc, test_lengths_count_elements);
    tcase_add_test(tc, test_strings_are_borrowed);
    tcase_add_test(tc, test_malformed_bytes_are_refused);
    tcase_add_test(tc, test_a_field_that_was_not_parsed_is_refused);
    tcase_add_test(tc, test_a_column_skips_other_types_untouched);
    tcase_add_test(tc, test_a_column_of_integers_marks_what_is_malformed);
    tcase_add_test(tc, test_columns_of_the_envelope_take_every_type);
    return suite_run(suite);
}
