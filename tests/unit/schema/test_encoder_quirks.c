/*
 * What is survived: each quirk can be switched off alone, and each is counted for itself.
 */
#include "encode.h"

#include <stddef.h>

#define STATE(members) "{\"type\":\"GAME_STATE\",\"payload\":{" members "}}"

static const struct {
    const char *text;
    uint32_t quirk;   /* the only one in the text */
    uint32_t n;       /* how often */
    int off;          /* what comes of the text when it is not taken */
    const char *path; /* of the field that is understood when it is taken, and only then */
    size_t counter;
} quirks[] = {
    {"{\"type\":\"X\",\"a\":[inf,-inf,nan,NaN,Infinity]}", JB_QUIRK_NON_FINITE, 5, JB_EPARSE, NULL,
     offsetof(jb_encoder_stats, n_non_finite)},
    {"{\"type\":\"X\",\"a\\u0041\n\":\"\t\x01\"}", JB_QUIRK_CONTROL_BYTES, 3, JB_EPARSE, NULL,
     offsetof(jb_encoder_stats, n_control_bytes)},
    {"{\"type\":\"X\",\"a\":\"\xff\xc3\\n\xed\xa0\x80\"}", JB_QUIRK_BAD_UTF8, 5, JB_EPARSE, NULL,
     offsetof(jb_encoder_stats, n_bad_utf8)},
    {"{\"type\":\"X\",\"a\":\"\\ud800\\ud800\\udc00\\udfff\"}", JB_QUIRK_HALF_SURROGATES, 2,
     JB_EPARSE, NULL, offsetof(jb_encoder_stats, n_half_surrogates)},
    {STATE("\"ante\":\"3\""), JB_QUIRK_COERCED, 1, 0, "game_state.ante",
     offsetof(jb_encoder_stats, n_coerced)},
    {STATE("\"money\":\"naneinf\""), JB_QUIRK_COERCED, 1, 0, "game_state.money",
     offsetof(jb_encoder_stats, n_coerced)},
    {STATE("\"in_game\":1"), JB_QUIRK_COERCED, 1, 0, "game_state.in_game",
     offsetof(jb_encoder_stats, n_coerced)},
    {"{\"type\":\"X\",\"priority\":\"HIGH\"}", JB_QUIRK_SPELLINGS, 1, 0, "priority",
     offsetof(jb_encoder_stats, n_spellings)},
    {STATE("\"game_state\":\"UNKNOWN_STATE_5\""), JB_QUIRK_SPELLINGS, 1, 0, "game_state.game_state",
     offsetof(jb_encoder_stats, n_spellings)},
    {STATE("\"hand\":{},\"jokers\":{}"), JB_QUIRK_EMPTY_LISTS, 2, 0, NULL,
     offsetof(jb_encoder_stats, n_empty_lists)},
    {STATE("\"money\":1,\"money\":2,\"money\":3"), JB_QUIRK_DUPLICATE_KEYS, 2, JB_EEVENT, NULL,
     offsetof(jb_encoder_stats, n_duplicate_keys)},
    {"{\"type\":\"X\",\"b\":1,\"a\":1,\"b\":2}", JB_QUIRK_DUPLICATE_KEYS, 1, JB_EEVENT, NULL,
     offsetof(jb_encoder_stats, n_duplicate_keys)},
    {STATE("\"shop_items\":{\"a\":1,\"a\":{}},\"zz\":{\"b\":1,\"b\":2}"), JB_QUIRK_DUPLICATE_KEYS,
     2, JB_EEVENT, NULL, offsetof(jb_encoder_stats, n_duplicate_keys)},
    {"{\"payload\":1,\"payload\":2,\"type\":\"X\"}", JB_QUIRK_DUPLICATE_KEYS, 1, JB_EEVENT, NULL,
     offsetof(jb_encoder_stats, n_duplicate_keys)},
};

/* In place of the usual encoder, one that takes these quirks. */
static void encoder_with(uint32_t taken, uint32_t flags)
{
    jb_encoder_opts opts;

    encoder_close();
    jb_encoder_opts_init(&opts, sizeof opts);
    opts.quirks = taken;
    opts.flags = flags;
    ck_assert_int_eq(jb_encoder_create(&opts, &enc, &err), 0);
}

static jb_encoder_stats stats_now(void)
{
    jb_encoder_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_encoder_get_stats(enc, &stats), 0);
    return stats;
}

static uint64_t counter_at(const jb_encoder_stats *stats, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)stats + offset, sizeof value);
    return value;
}

START_TEST(test_a_quirk_that_is_taken_is_counted_as_itself)
{
    jb_encoder_stats stats;

    encoder_with(quirks[_i].quirk, 0);
    ck_assert_msg(encode(quirks[_i].text) == 0, "%s", err.msg);
    ck_assert_uint_eq(made.n_repairs, quirks[_i].n);
    if (quirks[_i].path != NULL)
        ck_assert(made_has(quirks[_i].path));
    stats = stats_now();
    ck_assert_uint_eq(counter_at(&stats, quirks[_i].counter), quirks[_i].n);
    ck_assert_uint_eq(stats.n_events, 1);
    ck_assert_int_eq(encode(quirks[_i].text), 0);
    stats = stats_now();
    ck_assert_uint_eq(counter_at(&stats, quirks[_i].counter), 2 * quirks[_i].n);
}
END_TEST

START_TEST(test_a_quirk_that_is_switched_off_is_not_survived)
{
    jb_encoder_stats stats;

    encoder_with(JB_QUIRKS_ALL & ~quirks[_i].quirk, 0);
    ck_assert_int_eq(encode(quirks[_i].text), quirks[_i].off);
    stats = stats_now();
    ck_assert_uint_eq(counter_at(&stats, quirks[_i].counter), 0);
    ck_assert_uint_eq(stats.n_events, quirks[_i].off == 0);
    if (quirks[_i].off != 0)
        return;
    ck_assert_uint_eq(made.n_repairs, 0);
    ck_assert_str_eq(made_json(), quirks[_i].text); /* nothing is lost all the same */
    if (quirks[_i].path != NULL)
        ck_assert(!made_has(quirks[_i].path));
}
END_TEST

START_TEST(test_strict_takes_what_is_json)
{
    bool is_json = quirks[_i].off != JB_EPARSE;

    encoder_with(JB_QUIRKS_ALL, JB_ENCODER_STRICT);
    ck_assert_int_eq(encode(quirks[_i].text), is_json ? 0 : JB_EPARSE);
    encoder_with(0, JB_ENCODER_STRICT);
    ck_assert_int_eq(encode(quirks[_i].text), quirks[_i].off);
}
END_TEST

START_TEST(test_repairs_are_the_sum)
{
    jb_encoder_stats stats;

    ck_assert_int_eq(encode(STATE("\"ante\":\"3\",\"ante\":\"4\",\"zz\":\"\xff\n\",\"hand\":{}")),
                     0);
    ck_assert_uint_eq(made.n_repairs, 6);
    stats = stats_now();
    ck_assert_uint_eq(stats.n_coerced, 2);
    ck_assert_uint_eq(stats.n_duplicate_keys, 1);
    ck_assert_uint_eq(stats.n_bad_utf8, 1);
    ck_assert_uint_eq(stats.n_control_bytes, 1);
    ck_assert_uint_eq(stats.n_empty_lists, 1);
}
END_TEST

START_TEST(test_refused_events_count_nothing)
{
    jb_encoder_stats stats;

    ck_assert_int_eq(encode("{\"type\":\"X\",\"a\":inf,\"b\":?}"), JB_EPARSE);
    ck_assert_int_eq(encode("{\"type\":\"X\",\"a\":inf}}"), JB_EPARSE);
    ck_assert_int_eq(encode("{\"type\":\"X\"}"), 0);
    ck_assert_uint_eq(made.n_repairs, 0);
    stats = stats_now();
    ck_assert_uint_eq(stats.n_events, 1);
    ck_assert_uint_eq(stats.n_non_finite, 0);
}
END_TEST

START_TEST(test_braces_for_no_events)
{
    static const char body[] = "{\"events\":{}}";

    ck_assert_int_eq(jb_encoder_batch_begin(enc, body, sizeof body - 1, &err), 0);
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), 0);
    ck_assert_uint_eq(stats_now().n_empty_lists, 1);
    encoder_with(JB_QUIRKS_ALL & ~(uint32_t)JB_QUIRK_EMPTY_LISTS, 0);
    ck_assert_int_eq(jb_encoder_batch_begin(enc, body, sizeof body - 1, &err), 0);
    ck_assert_int_eq(jb_encoder_batch_next(enc, &made, &err), JB_EEVENT);
}
END_TEST

START_TEST(test_value_calls_ask_too)
{
    encoder_with(JB_QUIRKS_ALL & ~(uint32_t)(JB_QUIRK_BAD_UTF8 | JB_QUIRK_COERCED), 0);
    ck_assert_int_eq(jb_encoder_begin(enc, "METRIC", 6, NULL, 0), 0);
    ck_assert_int_eq(jb_encoder_key(enc, "version", 7), 0);
    ck_assert_int_eq(jb_encoder_string(enc, "5", 1), 0);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert(!made_has("version"));
    ck_assert_int_eq(jb_encoder_begin(enc, "X", 1, NULL, 0), 0);
    ck_assert_int_eq(jb_encoder_key(enc, "source", 6), 0);
    ck_assert_int_eq(jb_encoder_string(enc, "\xff", 1), JB_EEVENT);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), JB_EEVENT);
    ck_assert_str_eq(err.msg, "source: a string is not UTF-8");
}
END_TEST

START_TEST(test_options_and_arguments_that_do_not_exist)
{
    jb_encoder_stats stats = {.size = sizeof stats};
    jb_encoder_opts opts;
    jb_encoder *other;

    jb_encoder_opts_init(&opts, sizeof opts);
    ck_assert_uint_eq(opts.quirks, JB_QUIRKS_ALL);
    opts.quirks = JB_QUIRKS_ALL + 1;
    ck_assert_int_eq(jb_encoder_create(&opts, &other, &err), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_get_stats(NULL, &stats), JB_EINVAL);
    ck_assert_int_eq(jb_encoder_get_stats(enc, NULL), JB_EINVAL);
    stats.size = 0;
    ck_assert_int_eq(jb_encoder_get_stats(enc, &stats), JB_EINVAL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encoder quirks");
    TCase *tc = suite_case(s, "quirks");
    int n = (int)(sizeof quirks / sizeof quirks[0]);

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_loop_test(tc, test_a_quirk_that_is_taken_is_counted_as_itself, 0, n);
    tcase_add_loop_test(tc, test_a_quirk_that_is_switched_off_is_not_survived, 0, n);
    tcase_add_loop_test(tc, test_strict_takes_what_is_json, 0, n);
    tcase_add_test(tc, test_repairs_are_the_sum);
    tcase_add_test(tc, test_refused_events_count_nothing);
    tcase_add_test(tc, test_braces_for_no_events);
    tcase_add_test(tc, test_value_calls_ask_too);
    tcase_add_test(tc, test_options_and_arguments_that_do_not_exist);
    return suite_run(s);
}
