/*
 * What a byte costs does not depend on how many there are, whoever wrote them.
 *
 * Sixteen times the bytes may take 16 times the time, and by the laws of caches and sorting some
 * more; what is quadratic takes 256 times. The limit lies between, so that a busy machine does not
 * fail this test.
 */
#include "support/shapes.h"
#include "support/suite.h"

#include <stdio.h>
#include <time.h>

enum { SMALL = 64 << 10, TIMES = 16, TURNS = 5, LIMIT = 4 };

static jb_encoder *enc;
static char *bytes;

static void open_all(void)
{
    enc = shape_encoder();
    bytes = malloc((size_t)SMALL * TIMES + 4096);
    ck_assert(enc != NULL && bytes != NULL);
}

static void close_all(void)
{
    jb_encoder_destroy(enc);
    free(bytes);
}

static double ns_per_byte(const struct shape *shape, size_t n_bytes)
{
    size_t n = shape->write(bytes, n_bytes);
    double ns;

    ck_assert_uint_le(n, n_bytes);
    ck_assert(shape_read(shape, enc, bytes, n)); /* memory is there now */
    ns = shape_ns(shape, enc, bytes, n, TURNS);
    ck_assert_msg(ns >= 0, "%s", shape->name);
    return ns / (double)n;
}

START_TEST(test_cost_is_flat)
{
    const struct shape *shape = &shapes[_i];
    double small = ns_per_byte(shape, SMALL), large = ns_per_byte(shape, (size_t)SMALL * TIMES);

    ck_assert_msg(large < LIMIT * (small + 0.5), "%s: %.2f ns a byte, %.2f of 16 times as many",
                  shape->name, small, large);
}
END_TEST

/* Processor time of one call, the least of several. */
static double least_us(int (*call)(const char *text, size_t n), const char *text, size_t n, int rc)
{
    double least = 1e9;

    for (int i = 0; i < 20; i++) {
        struct timespec begin, end;
        double us;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
        ck_assert_int_eq(call(text, n), rc);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        us =
            (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
        least = us < least ? us : least;
    }
    return least;
}

static int encode_text(const char *text, size_t n)
{
    jb_encoded event;

    return jb_encoder_json(enc, text, n, &event, NULL);
}

static int inspect(const char *text, size_t n)
{
    jb_encoded event;

    return jb_event_inspect(text, n, &event, NULL);
}

/* Ten million brackets, wherever they stand. */
START_TEST(test_endless_nesting_costs_microseconds)
{
    static const char *const heads[] = {"",
                                        "{\"type\":\"X\",\"a\":", "{\"payload\":", "{\"a\":[1,"};
    size_t n = 10000000, head = strlen(heads[_i]);
    char *text = malloc(n + 32);
    double us;

    ck_assert_ptr_nonnull(text);
    memcpy(text, heads[_i], head);
    memset(text + head, '[', n);
    us = least_us(encode_text, text, head + n, JB_EPARSE);
    ck_assert_msg(us < 1000, "%s: %.1f microseconds", heads[_i], us);
    free(text);
}
END_TEST

/* A length of a gibibyte and nothing behind it. */
START_TEST(test_a_claimed_length_costs_microseconds)
{
    static const char claims[][12] = {
        "\x08\x03\x12\x80\x80\x80\x80\x04",         /* event_id */
        "\x08\x03\x82\x02\x80\x80\x80\x80\x04",     /* a payload */
        "\x08\x03\xfa\xff\x7f\x80\x80\x80\x80\x04", /* unknown */
        "\x08\x03\x7a\xff\xff\xff\xff\xff\x7f",     /* extras, and far more */
    };
    double us = least_us(inspect, claims[_i], strlen(claims[_i]), JB_EPROTO);

    ck_assert_msg(us < 100, "%.1f microseconds", us);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flat cost");
    TCase *tc = suite_case(s, "flat");

    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_loop_test(tc, test_cost_is_flat, 0, (int)n_shapes);
    tcase_add_loop_test(tc, test_endless_nesting_costs_microseconds, 0, 4);
    tcase_add_loop_test(tc, test_a_claimed_length_costs_microseconds, 0, 4);
    return suite_run(s);
}
