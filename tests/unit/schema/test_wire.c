/*
 * The protobuf wire format and UTF-8, value by value.
 */
#include "schema/utf8.h"
#include "schema/wire.h"
#include "support/guard.h"
#include "support/suite.h"

static const struct {
    uint64_t value;
    const char *bytes;
    size_t len_bytes;
} varints[] = {
    {0, "\x00", 1},
    {127, "\x7f", 1},
    {128, "\x80\x01", 2},
    {150, "\x96\x01", 2},
    {UINT32_MAX, "\xff\xff\xff\xff\x0f", 5},
    {INT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9},
    {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
};

START_TEST(test_varints_are_written_and_read)
{
    uint8_t buf[JBI_WIRE_VARINT_MAX_BYTES];
    jbi_wire in = jbi_wire_of(varints[_i].bytes, varints[_i].len_bytes);
    uint64_t value;

    ck_assert_uint_eq(jbi_wire_put_varint(buf, varints[_i].value) - buf, varints[_i].len_bytes);
    ck_assert_mem_eq(buf, varints[_i].bytes, varints[_i].len_bytes);
    ck_assert_uint_eq(jbi_wire_varint_bytes(varints[_i].value), varints[_i].len_bytes);
    ck_assert(jbi_wire_varint(&in, &value) && jbi_wire_done(&in));
    ck_assert_uint_eq(value, varints[_i].value);
}
END_TEST

START_TEST(test_a_cut_varint_is_refused_without_reading_on)
{
    for (size_t n = 0; n < varints[_i].len_bytes; n++) {
        struct guard g = guard_copy(varints[_i].bytes, n);
        jbi_wire in = jbi_wire_of(g.data, n);
        uint64_t value;

        ck_assert(!jbi_wire_varint(&in, &value));
        guard_free(&g);
    }
}
END_TEST

START_TEST(test_a_varint_beyond_64_bits_is_refused)
{
    jbi_wire big = jbi_wire_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    jbi_wire endless = jbi_wire_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12);
    uint64_t value;

    ck_assert(!jbi_wire_varint(&big, &value));
    ck_assert(!jbi_wire_varint(&endless, &value));
}
END_TEST

static const struct {
    const char *bytes;
    size_t len_bytes;
    bool good;
} tags[] = {
    {"\x08", 1, true},                  /* field 1, varint */
    {"\x00", 1, false},                 /* field 0 */
    {"\x07", 1, false},                 /* field 0, wire type 7 */
    {"\x0b", 1, false},                 /* a group */
    {"\x0c", 1, false},                 /* the end of one */
    {"\x0e", 1, false},                 /* wire type 6 */
    {"\x0d", 1, true},                  /* fixed 32 */
    {"\xfa\xff\xff\xff\x0f", 5, true},  /* the largest field number */
    {"\x82\x80\x80\x80\x10", 5, false}, /* one more */
};

START_TEST(test_tags_that_do_not_exist_are_refused)
{
    jbi_wire in = jbi_wire_of(tags[_i].bytes, tags[_i].len_bytes);
    uint32_t number, type;

    ck_assert_int_eq(jbi_wire_tag(&in, &number, &type), tags[_i].good);
}
END_TEST

START_TEST(test_a_length_beyond_the_message_is_refused)
{
    jbi_wire in = jbi_wire_of("\x03"
                              "ab",
                              3),
             huge, ret;

    ck_assert(!jbi_wire_bytes(&in, &ret));
    huge = jbi_wire_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01z", 11);
    ck_assert(!jbi_wire_bytes(&huge, &ret));
    huge = jbi_wire_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01z", 11);
    ck_assert(!jbi_wire_skip(&huge, JBI_WIRE_BYTES));
}
END_TEST

START_TEST(test_going_inside_and_going_past_agree)
{
    jbi_wire in = jbi_wire_of("\x02"
                              "ab"
                              "c",
                              4),
             inside = in, ret;

    ck_assert(jbi_wire_bytes(&in, &ret) && jbi_wire_bytes(&inside, &inside));
    ck_assert_ptr_eq(ret.pos, inside.pos);
    ck_assert_ptr_eq(ret.end, inside.end);
    ck_assert_uint_eq(jbi_wire_left(&in), 1);
}
END_TEST

START_TEST(test_skip_steps_over_each_wire_type)
{
    static const char bytes[] = "\x96\x01"
                                "12345678"
                                "\x01x"
                                "1234"
                                "!";
    jbi_wire in = jbi_wire_of(bytes, sizeof bytes - 1);

    ck_assert(jbi_wire_skip(&in, JBI_WIRE_VARINT));
    ck_assert(jbi_wire_skip(&in, JBI_WIRE_FIXED64));
    ck_assert(jbi_wire_skip(&in, JBI_WIRE_BYTES));
    ck_assert(jbi_wire_skip(&in, JBI_WIRE_FIXED32));
    ck_assert_uint_eq(jbi_wire_left(&in), 1);
    ck_assert(!jbi_wire_skip(&in, 3) && !jbi_wire_skip(&in, JBI_WIRE_FIXED32));
}
END_TEST

START_TEST(test_fixed_and_bytes_are_little_endian_and_counted)
{
    uint8_t buf[32];
    uint8_t *end = jbi_wire_put_bytes(jbi_wire_put_double(buf, 1.5), "xy", 2);
    jbi_wire in = jbi_wire_of(buf, (size_t)(end - buf)), text;
    double value;

    ck_assert_mem_eq(buf, "\0\0\0\0\0\0\xf8\x3f\x02xy", 11);
    ck_assert(jbi_wire_double(&in, &value) && value == 1.5);
    ck_assert(jbi_wire_bytes(&in, &text) && jbi_wire_left(&text) == 2 && jbi_wire_done(&in));
}
END_TEST

/* What RFC 3629 says of a sequence, straight from its definition. */
static bool is_utf8_by_value(const uint8_t *b, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t cp = n == 1 ? b[0] : b[0] & (0x7fu >> n);

    if (n == 1)
        return b[0] < 0x80;
    if ((uint8_t)(b[0] << n) >> 7 != 0 || (uint8_t)~b[0] >> (8 - n) != 0)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (b[i] >> 6 != 2)
            return false;
        cp = cp << 6 | (b[i] & 0x3f);
    }
    return cp >= least[n] && cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
}

/* Every two-byte start, with each tail that matters. */
START_TEST(test_utf8_is_what_the_rfc_says)
{
    static const uint8_t tails[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};

    for (int lead = 0; lead < 256; lead++) {
        for (int second = 0; second < 256; second++) {
            for (size_t t = 0; t < 36; t++) {
                uint8_t b[4] = {(uint8_t)lead, (uint8_t)second, tails[t / 6], tails[t % 6]};
                size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

                if (jbi_utf8_valid((char *)b, n) != is_utf8_by_value(b, n))
                    ck_abort_msg("%02x %02x %02x %02x", b[0], b[1], b[2], b[3]);
            }
        }
    }
}
END_TEST

static const struct {
    const char *text;
    size_t prefix, bad;
} broken[] = {
    {"abcdefgh\xff", 8, 1},  {"abcdefghi\xc3", 9, 1},
    {"\xe2\x82", 0, 2},      {"x\xe2\x82y", 1, 2},
    {"\xf0\x9f\x98z", 0, 3}, {"\xc0\xaf", 0, 1},
    {"\xed\xa0\x80", 0, 1},  {"\xf4\x90\x80\x80", 0, 1},
    {"\xe0\x80\x80", 0, 1},  {"\xe2\x82\xac\xe2\x28", 3, 1},
    {"\x80", 0, 1},
};

START_TEST(test_utf8_says_where_and_how_much_is_broken)
{
    const char *text = broken[_i].text;
    size_t len = strlen(text), prefix = jbi_utf8_prefix(text, len);

    ck_assert_uint_eq(prefix, broken[_i].prefix);
    ck_assert_uint_eq(jbi_utf8_bad_bytes(text + prefix, len - prefix), broken[_i].bad);
}
END_TEST

START_TEST(test_utf8_does_not_read_past_the_end)
{
    struct guard g = guard_copy("12345678\xf0\x9f\x98\x80", 12);

    ck_assert(jbi_utf8_valid((char *)g.data, 12));
    ck_assert_uint_eq(jbi_utf8_prefix((char *)g.data + 9, 0), 0);
    guard_free(&g);
    g = guard_copy("12345678\xf0\x9f\x98", 11);
    ck_assert_uint_eq(jbi_utf8_prefix((char *)g.data, 11), 8);
    guard_free(&g);
}
END_TEST

START_TEST(test_utf8_puts_what_it_accepts)
{
    static const uint32_t points[] = {0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};
    char buf[4];

    for (size_t i = 0; i < 8; i++) {
        size_t n = jbi_utf8_put(points[i], buf);

        ck_assert_uint_eq(n, i / 2 + 1);
        ck_assert(jbi_utf8_valid(buf, n));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema wire");
    TCase *tc = suite_case(suite, "wire"), *utf8 = suite_case(suite, "utf8");

    tcase_add_loop_test(tc, test_varints_are_written_and_read, 0, 7);
    tcase_add_loop_test(tc, test_a_cut_varint_is_refused_without_reading_on, 0, 7);
    tcase_add_test(tc, test_a_varint_beyond_64_bits_is_refused);
    tcase_add_loop_test(tc, test_tags_that_do_not_exist_are_refused, 0,
                        sizeof tags / sizeof tags[0]);
    tcase_add_test(tc, test_a_length_beyond_the_message_is_refused);
    tcase_add_test(tc, test_going_inside_and_going_past_agree);
    tcase_add_test(tc, test_skip_steps_over_each_wire_type);
    tcase_add_test(tc, test_fixed_and_bytes_are_little_endian_and_counted);
    tcase_add_test(utf8, test_utf8_is_what_the_rfc_says);
    tcase_add_loop_test(utf8, test_utf8_says_where_and_how_much_is_broken, 0,
                        sizeof broken / sizeof broken[0]);
    tcase_add_test(utf8, test_utf8_does_not_read_past_the_end);
    tcase_add_test(utf8, test_utf8_puts_what_it_accepts);
    return suite_run(suite);
}
