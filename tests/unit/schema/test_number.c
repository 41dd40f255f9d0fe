/*
 * Numbers of JSON, read and printed: held against the C library's strtod(), which is exact too.
 */
#include "schema/number.h"
#include "support/draw.h"
#include "support/suite.h"

#include <math.h>
#include <stdio.h>

enum { N_RANDOM = 400000 };

static uint64_t seed = 88172645463325252u;

static double double_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static const char *print(double value)
{
    static char text[JBI_NUMBER_MAX_BYTES + 1];

    text[jbi_number_print_double(value, text)] = '\0';
    return text;
}

static jbi_number parse(const char *text)
{
    jbi_number number;

    /* An assertion of `check` costs more than what it asks here, so only failures go there. */
    if (jbi_number_parse(text, strlen(text), &number) != strlen(text))
        ck_abort_msg("not read to its end: %.60s", text);
    return number;
}

static void check_text(const char *text)
{
    double got = parse(text).value, want = strtod(text, NULL);

    if (!same_bits(got, want))
        ck_abort_msg("%.60s read as %.17g, not %.17g", text, got, want);
}

/* What is printed reads back as the same bits, here and in the C library, and 17 digits do too. */
static void check_double(double value)
{
    const char *text = print(value);
    char digits[40];

    if (!same_bits(strtod(text, NULL), value) || !same_bits(parse(text).value, value))
        ck_abort_msg("%a printed as %s", value, text);
    snprintf(digits, sizeof digits, "%.17g", value);
    check_text(digits);
}

START_TEST(test_random_bits_survive_printing_and_reading)
{
    for (int i = 0; i < N_RANDOM; i++) {
        double value = double_of(draw64(&seed));

        if (isfinite(value))
            check_double(value);
    }
}
END_TEST

START_TEST(test_subnormals_survive)
{
    for (int i = 0; i < N_RANDOM / 10; i++)
        check_double(double_of(draw64(&seed) >> (12 + draw64(&seed) % 52)));
    check_double(double_of(1));
    check_double(double_of(0xfffffffffffff));
    check_double(double_of(0x10000000000000));
}
END_TEST

START_TEST(test_integers_and_powers_of_two_survive)
{
    for (int i = 0; i < N_RANDOM / 10; i++) {
        check_double((double)(draw64(&seed) >> draw64(&seed) % 60));
        check_double((double)(int64_t)(draw64(&seed) % 100000000) / 1000.0);
    }
    for (int e = -1074; e < 1024; e++)
        check_double(ldexp(1.0, e));
}
END_TEST

START_TEST(test_random_texts_round_like_strtod)
{
    char text[80];

    for (int i = 0; i < N_RANDOM / 4; i++) {
        size_t n = draw64(&seed) % 40 + 1, len = 0;

        text[len++] = (char)('1' + draw64(&seed) % 9);
        while (len < n)
            text[len++] = (char)('0' + draw64(&seed) % 10);
        snprintf(text + len, sizeof text - len, "e%d", (int)(draw64(&seed) % 700) - 370);
        check_text(text);
    }
}
END_TEST

/* The exact decimal of a point halfway between two doubles, then a little above and below it. */
START_TEST(test_ties_go_to_even_and_the_last_digit_decides)
{
    static char text[1300];

    for (int i = 0; i < 3000; i++) {
        double low = double_of((draw64(&seed) & INT64_MAX) >> (i % 3 == 0 ? 12 : 0));
        __extension__ long double half;
        size_t len;

        if (!isfinite(low) || !isfinite(nextafter(low, INFINITY)) || low < 1e-300 || low > 1e15)
            low = 1.0 / (double)(i + 3);
        half = ((long double)low + (long double)nextafter(low, INFINITY)) / 2;
        len = (size_t)snprintf(text, sizeof text, "%.1080Lf", half);
        check_text(text);
        memcpy(text + len, "1", 2);
        check_text(text);
    }
}
END_TEST

START_TEST(test_a_very_long_number_is_read_exactly)
{
    static char text[20000];

    memset(text, '0', sizeof text);
    memcpy(text, "0.", 2);
    memcpy(text + 15000, "123e15000", 10);
    check_text(text);
    memset(text, '9', 19999);
    text[309] = '\0';
    check_text(text);
    ck_assert(isinf(parse("1e400").value) && isinf(parse("-1e99999999999999999999").value));
    ck_assert(same_bits(parse("-1e-400").value, -0.0));
    ck_assert(parse("0e999999999999").value == 0);
}
END_TEST

static const struct {
    double value;
    const char *text;
} printed[] = {
    {0.0, "0"},
    {-0.0, "-0.0"},
    {1.0, "1"},
    {-1.5, "-1.5"},
    {1e14, "100000000000000"},
    {123456789012345680000.0, "123456789012345683968"},
    {1e20, "100000000000000000000"},
    {1e21, "1e+21"},
    {1.5e300, "1.5e+300"},
    {1e-6, "0.000001"},
    {1e-7, "1e-7"},
    {1.234e-8, "1.234e-8"},
    {0.1, "0.1"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1000016.6666667, "1000016.6666667"},
    {5e-324, "5e-324"},
    {2.2250738585072014e-308, "2.2250738585072014e-308"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {9007199254740993.0, "9007199254740992"},
    {2e-44, "2e-44"},
    {INFINITY, "Infinity"},
    {-INFINITY, "-Infinity"},
    {NAN, "NaN"},
};

START_TEST(test_spelling_of_doubles)
{
    ck_assert_str_eq(print(printed[_i].value), printed[_i].text);
}
END_TEST

/* Fewest digits: no shorter %.*e reads back, and none of the same length lies nearer. */
START_TEST(test_printed_digits_are_the_fewest)
{
    for (int i = 0; i < N_RANDOM / 20; i++) {
        double value = fabs(double_of(draw64(&seed)));
        char text[40];
        int precision = 0;
        size_t n = 0;

        if (!isfinite(value) || value >= 1e21)
            continue;
        for (; precision < 17; precision++) {
            snprintf(text, sizeof text, "%.*e", precision, value);
            if (same_bits(strtod(text, NULL), value))
                break;
        }
        for (const char *c = print(value); *c != '\0' && *c != 'e'; c++)
            n += *c >= '0' && *c <= '9' && (n != 0 || *c != '0');
        ck_assert_msg(n <= (size_t)precision + 1 || value == floor(value), "%s", print(value));
    }
}
END_TEST

static const struct {
    const char *text;
    int64_t integer;
    bool is_int64, is_integer, is_exact;
} integers[] = {
    {"0", 0, true, true, true},
    {"-0", 0, false, true, true},
    {"-0.0", 0, false, false, false},
    {"17", 17, true, true, true},
    {"-17.000", -17, true, false, false},
    {"1e3", 1000, true, false, false},
    {"1.5e1", 15, true, false, false},
    {"1.5", 0, false, false, false},
    {"9007199254740992", 9007199254740992, true, true, true},
    {"9007199254740993", 9007199254740993, true, true, false},
    {"9223372036854775807", INT64_MAX, true, true, false},
    {"-9223372036854775808", INT64_MIN, true, true, true},
    {"9223372036854775808", 0, false, true, true},
    {"18446744073709551616", 0, false, true, true},
    {"18446744073709551617", 0, false, true, false},
    {"10000000000000000000000", 0, false, true, true},
    {"100000000000000000000000", 0, false, true, false},
    {"0e5", 0, true, false, false},
    {"1e-1", 0, false, false, false},
    {"1.00000000000000000000000001", 0, false, false, false},
};

START_TEST(test_integers_are_told_apart_exactly)
{
    jbi_number number = parse(integers[_i].text);

    ck_assert_int_eq(number.is_int64, integers[_i].is_int64);
    ck_assert_int_eq(number.is_integer, integers[_i].is_integer);
    ck_assert_int_eq(number.is_exact, integers[_i].is_exact);
    if (number.is_int64)
        ck_assert_int_eq(number.integer, integers[_i].integer);
}
END_TEST

static const struct {
    const char *text;
    size_t taken;
} grammar[] = {
    {"", 0},    {"-", 0},    {"+1", 0},    {".5", 0},   {"1.", 0},    {"1.e5", 0},
    {"1e", 0},  {"1e+", 0},  {"-x", 0},    {"inf", 0},  {"NaN", 0},   {"01", 1},
    {"-01", 2}, {"1.5x", 3}, {"1,2", 1},   {"0x10", 1}, {"1e5.5", 3}, {"-0.0e-0]", 7},
    {"1 2", 1}, {"1E+7", 4}, {"0.25}", 4}, {"--1", 0},  {"1.2.3", 3}, {"00", 1},
};

START_TEST(test_grammar_is_that_of_json)
{
    jbi_number number;

    ck_assert_uint_eq(jbi_number_parse(grammar[_i].text, strlen(grammar[_i].text), &number),
                      grammar[_i].taken);
    ck_assert_uint_eq(jbi_number_scan(grammar[_i].text, strlen(grammar[_i].text)),
                      grammar[_i].taken);
}
END_TEST

START_TEST(test_nothing_is_read_past_the_end)
{
    jbi_number number;

    ck_assert_uint_eq(jbi_number_parse("123456", 3, &number), 3);
    ck_assert(number.value == 123);
    ck_assert_uint_eq(jbi_number_parse("1e55", 3, &number), 3);
    ck_assert_uint_eq(jbi_number_parse("1.5", 2, &number), 0);
}
END_TEST

START_TEST(test_integers_print_in_full)
{
    char text[JBI_NUMBER_MAX_BYTES];

    ck_assert_uint_eq(jbi_number_print_int(INT64_MIN, text), 20);
    ck_assert_mem_eq(text, "-9223372036854775808", 20);
    ck_assert_uint_eq(jbi_number_print_uint(UINT64_MAX, text), 20);
    ck_assert_mem_eq(text, "18446744073709551615", 20);
    ck_assert_uint_eq(jbi_number_print_int(0, text), 1);
    ck_assert_uint_eq(jbi_number_print_int(-90, text), 3);
    ck_assert_mem_eq(text, "-90", 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema number");
    TCase *tc = suite_case(suite, "number");

    tcase_add_test(tc, test_random_bits_survive_printing_and_reading);
    tcase_add_test(tc, test_subnormals_survive);
    tcase_add_test(tc, test_integers_and_powers_of_two_survive);
    tcase_add_test(tc, test_random_texts_round_like_strtod);
    tcase_add_test(tc, test_ties_go_to_even_and_the_last_digit_decides);
    tcase_add_test(tc, test_a_very_long_number_is_read_exactly);
    tcase_add_loop_test(tc, test_spelling_of_doubles, 0, sizeof printed / sizeof printed[0]);
    tcase_add_test(tc, test_printed_digits_are_the_fewest);
    tcase_add_loop_test(tc, test_integers_are_told_apart_exactly, 0,
                        sizeof integers / sizeof integers[0]);
    tcase_add_loop_test(tc, test_grammar_is_that_of_json, 0, sizeof grammar / sizeof grammar[0]);
    tcase_add_test(tc, test_nothing_is_read_past_the_end);
    tcase_add_test(tc, test_integers_print_in_full);
    return suite_run(suite);
}
