/*
 * The canonical form: equal events are equal bytes, and stay the same event.
 */
#include "encode.h"

#include "pb.h"

#include <stdio.h>

#define STATE(members) "{\"type\":\"GAME_STATE\",\"payload\":{" members "}}"

/* The canonical form of bytes; NULL when they have none. */
static const uint8_t *canonical(const void *data, size_t len_bytes, size_t *ret_bytes)
{
    static uint8_t buf[2][1 << 21];
    static int turn;
    int64_t n;

    turn = !turn;
    jb_error_init(&err);
    n = jb_event_canonical(data, len_bytes, buf[turn], sizeof buf[turn], &err);
    ck_assert_msg(n > 0 && n <= (int64_t)sizeof buf[turn], "%s", err.msg);
    *ret_bytes = (size_t)n;
    return buf[turn];
}

static void becomes(const struct pb *from, const struct pb *to)
{
    size_t n, again;
    const uint8_t *bytes = canonical(from->bytes, from->len, &n);
    const uint8_t *same = canonical(bytes, n, &again);

    ck_assert_uint_eq(n, to->len);
    ck_assert_mem_eq(bytes, to->bytes, n);
    ck_assert_uint_eq(again, n);
    ck_assert_mem_eq(same, bytes, n);
}

/* Encode a text and make the form; the bytes stay until the call after the next. */
static const uint8_t *form_of(const char *text, size_t *ret_bytes)
{
    ck_assert_msg(encode(text) == 0, "%s: %s", text, err.msg);
    return canonical(made.data, made.len_bytes, ret_bytes);
}

static const struct {
    const char *one;
    const char *other;
} equals[] = {
    {"{\"type\":\"X\",\"source\":\"a\",\"version\":1}",
     " { \"version\" : 1 , \"source\" : \"a\" , \"type\" : \"X\" } "},
    {"{\"type\":\"X\",\"b\":1,\"a\":2,\"c\":[]}", "{\"c\":[],\"a\":2,\"type\":\"X\",\"b\":1}"},
    {"{\"type\":\"X\",\"a\":{\"x\":1,\"y\":{\"p\":[{\"r\":1,\"q\":2}],\"o\":{}}}}",
     "{\"type\":\"X\",\"a\":{\"y\":{\"o\":{ },\"p\":[ {\"q\":2 , \"r\":1}]},\"x\":1}}"},
    {"{\"type\":\"X\",\"payload\":{\"k\\\"1\":1,\"k\":2,\"k\\\\\":3}}",
     "{\"payload\":{\"k\\\\\":3,\"k\":2,\"k\\\"1\":1},\"type\":\"X\"}"},
    {STATE("\"money\":1,\"ante\":\"2\",\"zz\":null"),
     STATE("\"zz\":null,\"ante\":\"2\",\"money\":1")},
    {STATE("\"hand\":[{\"rank\":\"2\",\"suit\":\"H\"},5]"),
     STATE("\"hand\":[{\"suit\":\"H\",\"rank\":\"2\"},5]")},
    {STATE("\"shop_items\":{\"b\":{\"cost\":1},\"a\":7,\"\":{\"name\":\"x\",\"cost\":2}}"),
     STATE("\"shop_items\":{\"\":{\"cost\":2,\"name\":\"x\"},\"a\":7,\"b\":{\"cost\":1}}")},
    {STATE("\"score_history\":{\"1\":5,\"2\":\"6\",\"3\":[]}"),
     STATE("\"score_history\":{\"3\":[],\"2\":\"6\",\"1\":5}")},
    {"{\"type\":\"X\",\"changes\":[{\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":1}}]}",
     "{\"changes\":[{\"payload\":{\"new_value\":1},\"type\":\"MONEY_CHANGED\"}],\"type\":\"X\"}"},
    {STATE("\"money\":3"), STATE("\"money\":1,\"money\":\"x\",\"money\":3")},
};

START_TEST(test_order_and_space_do_not_matter)
{
    size_t n, n_other;
    const uint8_t *one = form_of(equals[_i].one, &n);
    const uint8_t *other = form_of(equals[_i].other, &n_other);

    ck_assert_uint_eq(n, n_other);
    ck_assert_mem_eq(one, other, n);
    ck_assert_uint_eq(n, made.len_bytes); /* nothing is lost */
}
END_TEST

START_TEST(test_an_encoder_makes_the_form)
{
    jb_encoder_opts opts;
    jb_encoder *other;
    jb_encoded event;
    size_t n;
    const uint8_t *form = form_of(equals[_i].other, &n);

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.flags = JB_ENCODER_CANONICAL;
    ck_assert_int_eq(jb_encoder_create(&opts, &other, NULL), 0);
    ck_assert_int_eq(jb_encoder_json(other, equals[_i].one, strlen(equals[_i].one), &event, &err),
                     0);
    ck_assert_uint_eq(event.len_bytes, n);
    ck_assert_mem_eq(event.data, form, n);
    ck_assert_int_eq(event.type, made.type);
    jb_encoder_destroy(other);
}
END_TEST

START_TEST(test_different_events_stay_different)
{
    size_t n, n_other;
    const uint8_t *one = form_of(STATE("\"hand\":[{},5]"), &n);
    const uint8_t *other = form_of(STATE("\"hand\":[5,{}]"), &n_other);

    ck_assert(n != n_other || memcmp(one, other, n) != 0);
}
END_TEST

START_TEST(test_numbers_are_minimal_and_the_last_counts)
{
    static const uint8_t long_type[] = {0x08, 0x83, 0x80, 0x00};
    struct pb from = {0}, to = {0};

    pb_double(&from, 6, 1.5);
    pb_raw(&from, long_type, sizeof long_type);
    pb_text(&from, 2, "old");
    pb_text(&from, 2, "new");
    pb_int(&to, 1, 3);
    pb_text(&to, 2, "new");
    pb_double(&to, 6, 1.5);
    becomes(&from, &to);
}
END_TEST

START_TEST(test_unknown_fields_come_last_in_their_order)
{
    static const uint8_t long_tag[] = {0xf8, 0x9c, 0x83, 0x00, 0x81, 0x00};
    struct pb from = {0}, to = {0};

    pb_text(&from, 50001, "b");
    pb_raw(&from, long_tag, sizeof long_tag); /* 6607 as a varint 1 */
    pb_int(&from, 1, 3);
    pb_text(&from, 50001, "a");
    pb_int(&to, 1, 3);
    pb_int(&to, 6607, 1);
    pb_text(&to, 50001, "b");
    pb_text(&to, 50001, "a");
    becomes(&from, &to);
}
END_TEST

/* Number of a payload and of a field in it, by their names. */
static uint32_t field_number(const char *path, int part)
{
    jb_field field;

    ck_assert_msg(jb_field_parse(path, strlen(path), &field, &err) == 0, "%s", err.msg);
    return field.numbers[part];
}

START_TEST(test_pieces_are_merged_and_payloads_replaced)
{
    uint32_t state = field_number("game_state.money", 0),
             money = field_number("game_state.money", 1);
    uint32_t ante = field_number("game_state.ante", 1);
    uint32_t other = field_number("money_changed.new_value", 0);
    struct pb from = {0}, to = {0}, piece = {0};

    pb_int(&from, 1, 3);
    pb_int(&to, 1, 3);
    pb_double(&piece, money, 1);
    pb_bytes(&from, state, piece.bytes, piece.len); /* replaced by what follows */
    pb_bytes(&from, other, NULL, 0);
    pb_bytes(&from, state, piece.bytes, piece.len);
    piece.len = 0;
    pb_int(&piece, ante, 2);
    pb_bytes(&from, state, piece.bytes, piece.len);
    pb_double(&piece, money, 1);
    if (ante > money) {
        piece.len = 0;
        pb_double(&piece, money, 1);
        pb_int(&piece, ante, 2);
    }
    pb_bytes(&to, state, piece.bytes, piece.len);
    becomes(&from, &to);
}
END_TEST

START_TEST(test_overrides_follow_their_entries)
{
    size_t n;

    encode(STATE("\"shop_items\":{\"c\":{\"cost\":1},\"b\":[2],\"a\":{\"cost\":3},\"0\":{}}"));
    made.data = canonical(made.data, made.len_bytes, &n);
    made.len_bytes = (uint32_t)n;
    ck_assert_str_eq(made_json(), STATE("\"shop_items\":{\"0\":{},\"a\":{\"cost\":3},\"b\":[2],"
                                        "\"c\":{\"cost\":1}}"));
}
END_TEST

START_TEST(test_what_is_no_event_has_no_form)
{
    uint8_t buf[8];

    ck_assert_int_eq(jb_event_canonical("\x08", 1, buf, sizeof buf, &err), JB_EPROTO);
    ck_assert_int_eq(jb_event_canonical("", 0, buf, sizeof buf, &err), JB_EEVENT);
    ck_assert_int_eq(jb_event_canonical(NULL, 1, buf, sizeof buf, &err), JB_EINVAL);
    ck_assert_int_eq(jb_event_canonical("\x08\x01", 2, NULL, 1, &err), JB_EINVAL);
}
END_TEST

START_TEST(test_too_little_room_is_left_alone)
{
    static const uint8_t event[] = {0x08, 0x03};
    uint8_t buf[2] = {9, 9};

    ck_assert_int_eq(jb_event_canonical(event, sizeof event, buf, 1, &err), 2);
    ck_assert_uint_eq(buf[0], 9);
    ck_assert_int_eq(jb_event_canonical(event, sizeof event, NULL, 0, NULL), 2);
    ck_assert_int_eq(jb_event_canonical(event, sizeof event, buf, 2, NULL), 2);
    ck_assert_mem_eq(buf, event, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("canonical");
    TCase *tc = suite_case(s, "canonical");
    int n = (int)(sizeof equals / sizeof equals[0]);

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_loop_test(tc, test_order_and_space_do_not_matter, 0, n);
    tcase_add_loop_test(tc, test_an_encoder_makes_the_form, 0, n);
    tcase_add_test(tc, test_different_events_stay_different);
    tcase_add_test(tc, test_numbers_are_minimal_and_the_last_counts);
    tcase_add_test(tc, test_unknown_fields_come_last_in_their_order);
    tcase_add_test(tc, test_pieces_are_merged_and_payloads_replaced);
    tcase_add_test(tc, test_overrides_follow_their_entries);
    tcase_add_test(tc, test_what_is_no_event_has_no_form);
    tcase_add_test(tc, test_too_little_room_is_left_alone);
    return suite_run(s);
}
