/*
 * Many values in one call (jimbot/items.h): the same bytes as from the single calls, whatever way
 * the list is cut.
 */
#include "encode.h"
#include "jimbot/items.h"

#include <math.h>

#define KEY(k)    .key = (k), .key_bytes = sizeof(k) - 1
#define TEXT(t)   .kind = JB_ITEM_STRING, .text = (t), .text_bytes = sizeof(t) - 1
#define NUMBER(n) .kind = JB_ITEM_DOUBLE, .number = (n)
#define WHOLE(n)  .kind = JB_ITEM_INT, .integer = (n)
#define OBJECT    .kind = JB_ITEM_OBJECT
#define LIST      .kind = JB_ITEM_LIST
#define CLOSE                                                                                      \
    {                                                                                              \
        .kind = JB_ITEM_CLOSE                                                                      \
    }

/* Something of everything: what is usual, and what only the single calls know. */
static const jb_item items[] = {
    {KEY("timestamp"), NUMBER(12.5)},
    {KEY("headers"), OBJECT},
    {KEY("a"), WHOLE(1)},
    {KEY("b"), TEXT("x")},
    CLOSE,
    {KEY("payload"), OBJECT},
    {KEY("in_game"), .kind = JB_ITEM_BOOL, .integer = 1},
    {KEY("ante"), NUMBER(2)},
    {KEY("round"), NUMBER(-3)},
    {KEY("hand_number"), NUMBER(2.5)},
    {KEY("frame_count"), WHOLE(INT64_MAX)},
    {KEY("chips"), NUMBER(INFINITY)},
    {KEY("mult"), NUMBER(-0.0)},
    {KEY("money"), WHOLE(7)},
    {KEY("game_id"), TEXT("")},
    {KEY("unknown"), TEXT("kept")},
    {KEY("phase"), TEXT("no such phase")},
    {KEY("game_state"), TEXT("SHOP")},
    {KEY("hand"), LIST},
    {OBJECT},
    {KEY("rank"), TEXT("Ace")},
    {KEY("suit"), TEXT("Hearts")},
    {KEY("id"), NUMBER(17)},
    {KEY("edition"), TEXT("polychrome")},
    CLOSE,
    {OBJECT},
    {KEY("suit"), TEXT("Hearts")},
    {KEY("rank"), NUMBER(10)},
    {KEY("id"), TEXT("17")},
    {KEY("seal"), .kind = JB_ITEM_NULL},
    CLOSE,
    {OBJECT},
    {KEY("id"), TEXT("c_fool")},
    {KEY("id"), TEXT("again")},
    {KEY("name"), TEXT("half \xed\xa0\x80")},
    {KEY("debuffed"), WHOLE(1)},
    {KEY("cost"), NUMBER(9007199254740993.0)},
    CLOSE,
    CLOSE,
    {KEY("shop_items"), OBJECT},
    {KEY("joker_1"), OBJECT},
    {KEY("name"), TEXT("Zany Joker, a name of more than 16 bytes")},
    CLOSE,
    CLOSE,
    {KEY("jokers"), LIST},
    CLOSE,
    CLOSE,
};

enum { N_ITEMS = sizeof items / sizeof items[0] };

static void begin(void)
{
    ck_assert_int_eq(jb_encoder_begin(enc, "GAME_STATE", 10, NULL, 0), 0);
}

static void single(const jb_item *item)
{
    if (item->key != NULL)
        ck_assert_int_eq(jb_encoder_key(enc, item->key, item->key_bytes), 0);
    switch (item->kind) {
    case JB_ITEM_NULL:
        ck_assert_int_eq(jb_encoder_null(enc), 0);
        break;
    case JB_ITEM_BOOL:
        ck_assert_int_eq(jb_encoder_bool(enc, item->integer), 0);
        break;
    case JB_ITEM_INT:
        ck_assert_int_eq(jb_encoder_int(enc, item->integer), 0);
        break;
    case JB_ITEM_DOUBLE:
        ck_assert_int_eq(jb_encoder_double(enc, item->number), 0);
        break;
    case JB_ITEM_STRING:
        ck_assert_int_eq(jb_encoder_string(enc, item->text, item->text_bytes), 0);
        break;
    case JB_ITEM_OBJECT:
        ck_assert_int_eq(jb_encoder_object_open(enc), 0);
        break;
    case JB_ITEM_LIST:
        ck_assert_int_eq(jb_encoder_list_open(enc), 0);
        break;
    default:
        ck_assert_int_eq(jb_encoder_close(enc), 0);
    }
}

/* The event that the single calls make, for comparison. */
static size_t by_single_calls(uint8_t *buf, size_t cap)
{
    begin();
    for (size_t i = 0; i < N_ITEMS; i++)
        single(&items[i]);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_uint_le(made.len_bytes, cap);
    memcpy(buf, made.data, made.len_bytes);
    return made.len_bytes;
}

START_TEST(test_items_make_the_bytes_of_the_single_calls)
{
    uint8_t want[4096];
    size_t len = by_single_calls(want, sizeof want);
    uint32_t n_repairs = made.n_repairs;

    for (size_t piece = 1; piece <= N_ITEMS; piece++) {
        begin();
        for (size_t at = 0; at < N_ITEMS; at += piece)
            ck_assert_int_eq(
                jb_encoder_items(enc, items + at, N_ITEMS - at < piece ? N_ITEMS - at : piece), 0);
        ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
        ck_assert_uint_eq(made.len_bytes, len);
        ck_assert_mem_eq(made.data, want, len);
        ck_assert_uint_eq(made.n_repairs, n_repairs);
    }
}
END_TEST

/* The same address with other bytes is another key. */
START_TEST(test_a_key_is_its_bytes)
{
    char key[] = "ante";
    jb_item open = {KEY("payload"), OBJECT};
    jb_item member = {.key = key, .key_bytes = 4, NUMBER(3)};

    begin();
    ck_assert_int_eq(jb_encoder_items(enc, &open, 1), 0);
    ck_assert_int_eq(jb_encoder_items(enc, &member, 1), 0);
    memcpy(key, "mult", 4);
    ck_assert_int_eq(jb_encoder_items(enc, &member, 1), 0);
    ck_assert_int_eq(jb_encoder_close(enc), 0);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert(made_double("game_state.ante") == 3);
    ck_assert(made_double("game_state.mult") == 3);
}
END_TEST

START_TEST(test_a_failure_sticks)
{
    const jb_item wrong = {KEY("x"), .kind = 99};
    const jb_item close = CLOSE;
    const jb_item null_id[] = {{KEY("payload"), OBJECT},
                               {KEY("hand"), LIST},
                               {OBJECT},
                               {KEY("id"), .kind = JB_ITEM_STRING, .text_bytes = 3}};
    const jb_item null_text = {KEY("source"), .kind = JB_ITEM_STRING, .text_bytes = 3};

    begin();
    ck_assert_int_eq(jb_encoder_items(enc, &wrong, 1), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_items(enc, items, 1), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), JB_EINVAL);
    begin();
    ck_assert_int_eq(jb_encoder_items(enc, &close, 1), JB_ESTATE);
    begin();
    ck_assert_int_eq(jb_encoder_items(enc, &null_text, 1), JB_EINVAL);
    begin();
    ck_assert_int_eq(jb_encoder_items(enc, null_id, 4), JB_EINVAL);
    begin();
    ck_assert_int_eq(jb_encoder_items(enc, NULL, 1), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_items(NULL, items, 1), JB_EINVAL);
    begin();
    ck_assert_int_eq(jb_encoder_items(enc, NULL, 0), 0);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_int_eq(jb_encoder_items(enc, items, 1), JB_ESTATE);
}
END_TEST

/* What is refused for its size is what the single calls refuse. */
START_TEST(test_the_largest_event_is_held_to)
{
    const jb_item few[] = {{KEY("payload"), OBJECT},
                           {KEY("money"), NUMBER(1.5)},
                           {KEY("game_id"), TEXT("12345678901234567890")},
                           {KEY("ante"), NUMBER(3)},
                           CLOSE};
    jb_encoder_opts opts;
    int rc;

    encoder_close();
    jb_encoder_opts_init(&opts, sizeof opts);
    opts.max_event_bytes = 17 + 4 * (uint32_t)_i;
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, &err), 0);
    begin();
    jb_encoder_key(enc, "payload", 7);
    jb_encoder_object_open(enc);
    jb_encoder_put_double(enc, "money", 5, 1.5);
    jb_encoder_put_string(enc, "game_id", 7, "12345678901234567890", 20);
    jb_encoder_put_double(enc, "ante", 4, 3);
    jb_encoder_close(enc);
    rc = jb_encoder_end(enc, &made, &err);
    begin();
    jb_encoder_items(enc, few, 5);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), rc);
    ck_assert_int_eq(rc, _i == 0 ? JB_ETOOBIG : _i == 47 ? 0 : rc);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema items");
    TCase *tc = suite_case(suite, "items");

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_test(tc, test_items_make_the_bytes_of_the_single_calls);
    tcase_add_test(tc, test_a_key_is_its_bytes);
    tcase_add_test(tc, test_a_failure_sticks);
    tcase_add_loop_test(tc, test_the_largest_event_is_held_to, 0, 48);
    return suite_run(suite);
}
