/*
 * Events given value by value, and an encoder without memory.
 */
#include "encode.h"

#include <math.h>

static void key(const char *text)
{
    jb_encoder_key(enc, text, strlen(text));
}

static void string(const char *text)
{
    jb_encoder_string(enc, text, strlen(text));
}

static void begin(const char *type, const char *subtype)
{
    ck_assert_int_eq(
        jb_encoder_begin(enc, type, strlen(type), subtype, subtype != NULL ? strlen(subtype) : 0),
        0);
}

static void ends_as(const char *json)
{
    ck_assert_msg(jb_encoder_end(enc, &made, &err) == 0, "%s", err.msg);
    ck_assert_str_eq(made_json(), json);
}

static void sticks(int rc)
{
    ck_assert_int_eq(jb_encoder_null(enc), rc);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), rc);
    ck_assert_int_eq(err.code, rc);
    ck_assert_uint_gt(strlen(err.msg), 0);
}

START_TEST(test_values_make_the_same_bytes_as_text)
{
    uint8_t bytes[256];
    uint32_t n;

    begin("LEARNING_DECISION", "REQUEST");
    key("payload");
    jb_encoder_object_open(enc);
    key("available_actions");
    jb_encoder_list_open(enc);
    string("play_hand");
    string("discard");
    jb_encoder_close(enc);
    key("time_limit_ms");
    jb_encoder_double(enc, 1000);
    key("zz");
    jb_encoder_bool(enc, true);
    jb_encoder_close(enc);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_str_eq(made.topic, "learning.decision.request");
    n = made.len_bytes;
    ck_assert_uint_lt(n, sizeof bytes);
    memcpy(bytes, made.data, n);
    comes_back(
        "{\"type\":\"LEARNING_DECISION\",\"subtype\":\"REQUEST\",\"payload\":{"
        "\"available_actions\":[\"play_hand\",\"discard\"],\"time_limit_ms\":1000,\"zz\":true}}");
    ck_assert_uint_eq(made.len_bytes, n);
    ck_assert_mem_eq(made.data, bytes, n);
}
END_TEST

START_TEST(test_every_kind_of_value)
{
    begin("ANY", NULL);
    key("payload");
    jb_encoder_list_open(enc);
    jb_encoder_null(enc);
    jb_encoder_bool(enc, false);
    jb_encoder_int(enc, INT64_MIN);
    jb_encoder_int(enc, 9007199254740993);
    jb_encoder_double(enc, 0.1);
    jb_encoder_double(enc, -INFINITY);
    jb_encoder_string(enc, "a\xff", 2);
    jb_encoder_string(enc, NULL, 0);
    jb_encoder_object_open(enc);
    jb_encoder_close(enc);
    jb_encoder_close(enc);
    ends_as("{\"type\":\"ANY\",\"payload\":[null,false,-9223372036854775808,9007199254740993,0.1,"
            "\"-Infinity\",\"a\xEF\xBF\xBD\",\"\",{}]}");
    ck_assert_uint_eq(made.n_repairs, 1);
}
END_TEST

START_TEST(test_big_integers_in_typed_fields)
{
    begin("MONEY_CHANGED", NULL);
    key("payload");
    jb_encoder_object_open(enc);
    key("old_value");
    jb_encoder_int(enc, 9007199254740993);
    key("new_value");
    jb_encoder_int(enc, 9007199254740992);
    jb_encoder_close(enc);
    ends_as("{\"type\":\"MONEY_CHANGED\",\"payload\":{\"old_value\":9007199254740993,\"new_value\":"
            "9007199254740992}}");
}
END_TEST

START_TEST(test_nested_event_whose_type_comes_last)
{
    begin("GAME_STATE", NULL);
    key("changes");
    jb_encoder_list_open(enc);
    jb_encoder_object_open(enc);
    key("payload");
    jb_encoder_object_open(enc);
    key("new_value");
    jb_encoder_double(enc, 12);
    jb_encoder_close(enc);
    key("type");
    string("MONEY_CHANGED");
    jb_encoder_close(enc);
    jb_encoder_object_open(enc);
    key("payload");
    jb_encoder_null(enc);
    jb_encoder_close(enc);
    jb_encoder_close(enc);
    ends_as("{\"type\":\"GAME_STATE\",\"changes\":[{\"type\":\"MONEY_CHANGED\",\"payload\":{"
            "\"new_value\":12}},{\"payload\":null}]}");
    /* Typed, not kept as text: the bytes hold a MoneyChanged (field 35). */
    ck_assert_ptr_nonnull(memmem(made.data, made.len_bytes, "\x9a\x02\x09\x11", 4));
}
END_TEST

START_TEST(test_the_type_may_be_said_again_but_not_another)
{
    begin("MONEY_CHANGED", NULL);
    key("type");
    string("MONEY_CHANGED");
    ends_as("{\"type\":\"MONEY_CHANGED\"}");
    begin("MONEY_CHANGED", NULL);
    key("type");
    jb_encoder_bool(enc, false);
    key("type");
    string("MONEY_CHANGED");
    ends_as("{\"type\":\"MONEY_CHANGED\"}");
    begin("MONEY_CHANGED", NULL);
    key("type");
    string("GAME_STATE");
    sticks(JB_ESTATE);
    ck_assert(strstr(err.msg, "another type") != NULL);
}
END_TEST

START_TEST(test_calls_that_do_not_fit)
{
    ck_assert_int_eq(jb_encoder_null(enc), JB_ESTATE);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), JB_ESTATE);
    begin("X", NULL);
    jb_encoder_null(enc);
    sticks(JB_ESTATE);
    begin("X", NULL);
    key("a");
    key("b");
    sticks(JB_ESTATE);
    begin("X", NULL);
    key("a");
    jb_encoder_list_open(enc);
    key("b");
    sticks(JB_ESTATE);
    begin("X", NULL);
    jb_encoder_close(enc);
    sticks(JB_ESTATE);
    begin("X", NULL);
    key("a");
    jb_encoder_object_open(enc);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), JB_ESTATE);
    begin("X", NULL);
    key("a");
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), JB_ESTATE);
    ck_assert_int_eq(jb_encoder_begin(enc, "", 0, NULL, 0), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_begin(NULL, "X", 1, NULL, 0), JB_EINVAL);
}
END_TEST

START_TEST(test_depth_is_limited)
{
    begin("X", NULL);
    key("a");
    for (int i = 0; i < 63; i++)
        ck_assert_int_eq(jb_encoder_list_open(enc), 0);
    ck_assert_int_eq(jb_encoder_list_open(enc), JB_ELIMIT);
    sticks(JB_ELIMIT);
    begin("X", NULL);
    ends_as("{\"type\":\"X\"}");
}
END_TEST

START_TEST(test_deepest_typed_event_can_be_read_back)
{
    jb_encoder_opts opts;
    int n = 0;

    jb_encoder_destroy(enc);
    jb_encoder_opts_init(&opts, sizeof opts);
    opts.max_depth = 256;
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, NULL), 0);
    begin("X", NULL);
    for (; n < 49; n++) {
        key("changes");
        ck_assert_int_eq(jb_encoder_list_open(enc), 0);
        ck_assert_int_eq(jb_encoder_object_open(enc), 0);
    }
    key("zz");
    jb_encoder_null(enc);
    while (n-- > 0) {
        ck_assert_int_eq(jb_encoder_close(enc), 0);
        ck_assert_int_eq(jb_encoder_close(enc), 0);
    }
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_int_eq(jb_event_inspect(made.data, made.len_bytes, &made, &err), 0);
    ck_assert(strstr(made_json(), "\"zz\":null") != NULL);
}
END_TEST

/* An allocator that gives n_left times, and counts what is out. */
struct failing {
    int n_left;
    int n_out;
};

static void *failing_alloc(size_t size_bytes, void *ctx)
{
    struct failing *f = ctx;

    if (f->n_left-- <= 0)
        return NULL;
    f->n_out++;
    return malloc(size_bytes);
}

static void *failing_realloc(void *ptr, size_t old_size_bytes, size_t size_bytes, void *ctx)
{
    struct failing *f = ctx;

    (void)old_size_bytes;
    if (f->n_left-- <= 0)
        return NULL;
    f->n_out += ptr == NULL;
    return realloc(ptr, size_bytes);
}

static void failing_free(void *ptr, size_t size_bytes, void *ctx)
{
    struct failing *f = ctx;

    (void)size_bytes;
    f->n_out -= ptr != NULL;
    free(ptr);
}

START_TEST(test_without_memory_nothing_is_created_and_nothing_leaks)
{
    struct failing f = {_i, 0};
    jb_alloc alloc = {failing_alloc, failing_realloc, failing_free, &f};
    static char text[200000];
    jb_encoder_opts opts;
    jb_encoder *e = NULL;
    int rc;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.alloc = &alloc;
    rc = jb_encoder_create(&opts, &e, &err);
    ck_assert_int_eq(rc, _i < 3 ? JB_ENOMEM : 0);
    memset(text, 'a', sizeof text);
    memcpy(text, "{\"type\":\"X\",\"source\":\"\\n", 24);
    memcpy(text + sizeof text - 3, "\"}", 2);
    if (rc == 0)
        ck_assert_int_eq(jb_encoder_json(e, text, sizeof text - 1, &made, &err),
                         _i < 6 ? JB_ENOMEM : 0);
    jb_encoder_destroy(e);
    ck_assert_int_eq(f.n_out, 0);
}
END_TEST

START_TEST(test_options_out_of_range)
{
    jb_encoder_opts opts;
    jb_encoder *e;

    jb_encoder_opts_init(&opts, sizeof opts);
    opts.max_depth = 257;
    ck_assert_int_eq(jb_encoder_create(&opts, &e, &err), JB_EINVAL);
    jb_encoder_opts_init(&opts, sizeof opts);
    opts.flags = 4;
    ck_assert_int_eq(jb_encoder_create(&opts, &e, &err), JB_EINVAL);
    jb_encoder_opts_init(&opts, sizeof opts);
    opts.max_event_bytes = JB_EVENT_MAX_BYTES + 1;
    ck_assert_int_eq(jb_encoder_create(&opts, &e, &err), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_create(NULL, NULL, &err), JB_EINVAL);
    jb_encoder_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encoder values");
    TCase *tc = suite_case(s, "values");

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_test(tc, test_values_make_the_same_bytes_as_text);
    tcase_add_test(tc, test_every_kind_of_value);
    tcase_add_test(tc, test_big_integers_in_typed_fields);
    tcase_add_test(tc, test_nested_event_whose_type_comes_last);
    tcase_add_test(tc, test_the_type_may_be_said_again_but_not_another);
    tcase_add_test(tc, test_calls_that_do_not_fit);
    tcase_add_test(tc, test_depth_is_limited);
    tcase_add_test(tc, test_deepest_typed_event_can_be_read_back);
    tcase_add_loop_test(tc, test_without_memory_nothing_is_created_and_nothing_leaks, 0, 7);
    tcase_add_test(tc, test_options_out_of_range);
    return suite_run(s);
}
