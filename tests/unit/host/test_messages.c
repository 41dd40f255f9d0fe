/* Laws of the messages of the services. */
#include "hsuite.h"

#include "host/service/messages.h"

static jbi_htext text;

static jbi_slice made(void)
{
    return (jbi_slice){text.data, text.len};
}

static void begin(void)
{
    jbi_htext_init(&text, &jbi_hmem_libc);
}

START_TEST(test_absent_fields_have_their_defaults)
{
    jbi_msg_subscribe m;

    begin();
    jbi_msg_put_bytes(&text, 1, jbi_slice_str("game.>"));
    ck_assert_ptr_null(jbi_msg_read_subscribe(made(), &m));
    ck_assert_uint_eq(m.n_patterns, 1);
    ck_assert(jbi_slice_is(m.patterns[0], "game.>"));
    ck_assert_uint_eq(m.policy, JB_SUB_LATEST);
    ck_assert_uint_eq(m.start, JBI_FEED_NOW);
    ck_assert_uint_eq(m.types, 0);
    ck_assert_uint_eq(m.max_events, 64);
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_types_come_one_by_one_or_packed)
{
    jbi_msg_subscribe m;

    begin();
    jbi_msg_put_bytes(&text, 1, jbi_slice_str("a"));
    jbi_msg_put_value(&text, 2, 4);
    jbi_msg_put_bytes(&text, 2, jbi_slice_str("\x05\x20"));
    jbi_msg_put_bytes(&text, 2, jbi_slice_str(""));
    ck_assert_ptr_null(jbi_msg_read_subscribe(made(), &m));
    ck_assert_uint_eq(m.types, 1u << 4 | 1u << 5 | (uint64_t)1 << 32);
    jbi_htext_fini(&text);
}
END_TEST

static void check_refused(uint32_t number, uint64_t value)
{
    jbi_msg_subscribe m;

    begin();
    jbi_msg_put_bytes(&text, 1, jbi_slice_str("a"));
    jbi_msg_put_value(&text, number, value);
    ck_assert_ptr_nonnull(jbi_msg_read_subscribe(made(), &m));
    jbi_htext_fini(&text);
}

START_TEST(test_values_that_mean_nothing_are_refused)
{
    check_refused(1, 7);
    check_refused(2, 0);
    check_refused(2, 64);
    check_refused(3, 4);
    check_refused(4, 4);
    check_refused(4, 3); /* a sequence, and none is said */
    check_refused(6, 1);
    check_refused(8, 0);
}
END_TEST

START_TEST(test_patterns_have_a_limit)
{
    jbi_msg_subscribe m;

    begin();
    for (int i = 0; i < JBI_FEED_PATTERNS; i++)
        jbi_msg_put_bytes(&text, 1, jbi_slice_str("a"));
    ck_assert_ptr_null(jbi_msg_read_subscribe(made(), &m));
    jbi_msg_put_bytes(&text, 1, jbi_slice_str("a"));
    ck_assert_ptr_nonnull(jbi_msg_read_subscribe(made(), &m));
    jbi_htext_fini(&text);
    ck_assert_ptr_nonnull(jbi_msg_read_subscribe((jbi_slice){NULL, 0}, &m));
}
END_TEST

START_TEST(test_a_message_cut_anywhere_is_never_taken_for_more)
{
    jbi_msg_outgoing event;
    size_t n_good = 0;

    begin();
    jbi_msg_put_bytes(&text, 1, jbi_slice_str("an event"));
    jbi_msg_put_bytes(&text, 2, jbi_slice_str("a.topic"));
    jbi_msg_put_value(&text, 3, 300);
    for (size_t n = 0; n <= text.len; n++) {
        char *exact = malloc(n + 1);

        memcpy(exact, text.data, n);
        n_good += jbi_msg_read_outgoing((jbi_slice){exact, n}, &event) == NULL;
        free(exact);
    }
    ck_assert_uint_eq(n_good, 4); /* before the first field, and after each */
    ck_assert_ptr_null(jbi_msg_read_outgoing(made(), &event));
    ck_assert(jbi_slice_is(event.event, "an event") && jbi_slice_is(event.topic, "a.topic"));
    ck_assert_uint_eq(event.key, 300);
    jbi_htext_fini(&text);
}
END_TEST

START_TEST(test_a_length_is_put_before_what_it_counts)
{
    size_t outer, inner;
    jbi_msg_field f;
    jbi_wire in;

    begin();
    outer = jbi_msg_open(&text, 1);
    inner = jbi_msg_open(&text, 2);
    for (int i = 0; i < 300; i++)
        jbi_htext_add(&text, "x", 1);
    jbi_msg_close(&text, inner);
    jbi_msg_put_text(&text, 3, "caf\xc3\xa9\n");
    jbi_msg_close(&text, outer);
    in = jbi_wire_of(text.data, text.len);
    ck_assert_int_eq(jbi_msg_next(&in, &f), 1);
    ck_assert(jbi_msg_is_bytes(&f, 1) && jbi_wire_done(&in));
    in = jbi_wire_of(f.bytes.data, f.bytes.len);
    ck_assert_int_eq(jbi_msg_next(&in, &f), 1);
    ck_assert_uint_eq(f.bytes.len, 300);
    ck_assert_int_eq(jbi_msg_next(&in, &f), 1);
    ck_assert(f.number == 3 && jbi_slice_is(f.bytes, "caf???"));
    ck_assert_int_eq(jbi_msg_next(&in, &f), 0);
    jbi_htext_fini(&text);
}
END_TEST

HSUITE_MAIN("messages", test_absent_fields_have_their_defaults,
            test_types_come_one_by_one_or_packed, test_values_that_mean_nothing_are_refused,
            test_patterns_have_a_limit, test_a_message_cut_anywhere_is_never_taken_for_more,
            test_a_length_is_put_before_what_it_counts)
