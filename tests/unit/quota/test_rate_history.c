/*
 * A million random steps of each kind of limit beside a slow model of it, with an injected clock.
 *
 * The models know nothing of the tricks: a bucket that is filled step by step, in 128 bits, and a
 * list of everything that was ever taken.
 */
#include "jimbot/rate.h"

#include "support/draw.h"
#include "support/suite.h"

enum { N_STEPS = 1000000 };

/* As ck_assert(), which speaks to its parent each time, but silent while all is well. */
#define LAW(holds)                                                                                 \
    do {                                                                                           \
        if (!(holds))                                                                              \
            ck_abort_msg("%s", #holds);                                                            \
    } while (0)

__extension__ typedef __int128 big;

/* Mostly small steps, now and then a long pause. */
static uint64_t random_pause(uint64_t *state, uint64_t typical)
{
    uint64_t dice = draw64(state) % 100;

    if (dice < 30)
        return 0;
    if (dice < 99)
        return draw64(state) % (2 * typical);
    return draw64(state) % (200 * typical);
}

/* A bucket, in 64ths of the nanoseconds that its content took to come; the price of a unit is what
 * the header says. */
struct bucket {
    big content, most;
    uint64_t price;
    uint64_t now;
};

static void bucket_wait(struct bucket *b, uint64_t now)
{
    if (now > b->now) {
        b->content += (big)(now - b->now) * 64;
        b->now = now;
    }
    if (b->content > b->most)
        b->content = b->most;
}

static void bucket_step(struct bucket *b, jb_gcra *cell, uint64_t *random)
{
    uint64_t n = 1 + draw64(random) % 9, retry = 0;
    uint64_t dice = draw64(random) % 100;
    big before = b->content;

    if (dice < 80) {
        int rc = jb_gcra_take(cell, n, b->now, &retry);

        LAW((rc == 0) == (b->content >= (big)n * b->price) && (rc == 0 || rc == JB_EAGAIN));
        if (rc == 0) {
            b->content -= (big)n * b->price;
        } else {
            LAW(jb_gcra_peek(cell, n, b->now + retry - 1, NULL) == JB_EAGAIN);
            LAW(jb_gcra_peek(cell, n, b->now + retry, NULL) == 0);
        }
    } else if (dice < 90) {
        jb_gcra_refund(cell, n, b->now);
        b->content += (big)n * b->price;
        bucket_wait(b, b->now);
    } else if (dice < 95) {
        jb_gcra_charge(cell, n, b->now);
        b->content -= (big)n * b->price;
    } else {
        jb_gcra_lower(cell, n, b->now);
        b->content = before < (big)n * b->price ? before : (big)n * b->price;
    }
}

START_TEST(test_a_cell_is_a_bucket)
{
    static const uint64_t terms[][3] = {
        {50, 60000000000, 10}, {7, 1000000000, 9}, {3, 10, 40}, {400000, 60000000000, 12}};
    const uint64_t *t = terms[_i];
    uint64_t random = 88172645463325252u + (unsigned)_i, start = random >> 20;
    uint64_t price = (64 * t[1] + t[0] - 1) / t[0];
    struct bucket b = {.price = price, .most = (big)t[2] * price, .now = start};
    jb_rate_state state;
    jb_gcra cell;

    b.content = b.most;
    LAW(jb_gcra_init(&cell, t[0], t[1], t[2], start) == 0);
    for (int i = 0; i < N_STEPS; i++) {
        bucket_wait(&b, b.now + random_pause(&random, 5 * t[1] / t[0] + 1));
        bucket_step(&b, &cell, &random);
        jb_gcra_get(&cell, b.now, &state);
        LAW(state.remaining == (b.content < 0 ? 0 : (uint64_t)(b.content / b.price)));
    }
}
END_TEST

START_TEST(test_no_stretch_has_more_than_burst_and_rate_whatever_the_clock_does)
{
    uint64_t random = 362436069, now = 1000000000000, latest = now, n_given = 0;
    /* Exactly what was asked for, with nothing rounded: units times the period. */
    big most = (big)20 * 1000000000, content = most;
    jb_gcra cell;

    LAW(jb_gcra_init(&cell, 333, 1000000000, 20, now) == 0);
    for (int i = 0; i < N_STEPS; i++) {
        uint64_t n = 1 + draw64(&random) % 20;

        now += random_pause(&random, 20000000);
        if (draw64(&random) % 50 == 0)
            now -= draw64(&random) % 900000000;
        if (now > latest) {
            content += (big)(now - latest) * 333;
            content = content < most ? content : most;
            latest = now;
        }
        if (draw64(&random) % 1000 == 0)
            LAW(jb_gcra_set(&cell, 333, 1000000000, 20, now) == 0);
        if (jb_gcra_take(&cell, n, now, NULL) == 0) {
            content -= (big)n * 1000000000;
            n_given += n;
        }
        LAW(content >= 0);
    }
    ck_assert_uint_gt(n_given, N_STEPS);
}
END_TEST

/* Everything that was taken and may still matter, oldest first. */
struct list {
    struct {
        uint64_t time, amount;
    } takes[4096];
    unsigned first, end;
};

static uint64_t list_sum(const struct list *list, uint64_t now, uint64_t period)
{
    uint64_t sum = 0;

    for (unsigned i = list->first; i != list->end; i++) {
        if (now - list->takes[i % 4096].time < period)
            sum += list->takes[i % 4096].amount;
    }
    return sum;
}

static void list_add(struct list *list, uint64_t now, uint64_t amount, uint64_t period)
{
    while (list->first != list->end && now - list->takes[list->first % 4096].time >= 2 * period)
        list->first++;
    LAW(list->end - list->first < 4096);
    list->takes[list->end % 4096].time = now;
    list->takes[list->end++ % 4096].amount = amount;
}

/* Give back a part of one of the last takes; from the model and from the window. */
static void list_refund(struct list *list, jb_window *window, uint64_t now, uint64_t *random)
{
    unsigned back = 1 + (unsigned)(draw64(random) % 5);
    uint64_t n;

    if (list->end - list->first < back)
        return;
    n = draw64(random) % (list->takes[(list->end - back) % 4096].amount + 1);
    jb_window_refund(window, n, list->takes[(list->end - back) % 4096].time, now);
    list->takes[(list->end - back) % 4096].amount -= n;
}

enum { LIMIT = 100, PERIOD = 3600000 };

static jb_window *window_with(uint32_t n_entries)
{
    static uint64_t memory[4096];
    jb_window *window = NULL;

    LAW(jb_window_init(memory, jb_window_bytes(n_entries), LIMIT, PERIOD, &window) == 0);
    return window;
}

START_TEST(test_a_window_is_a_list)
{
    static struct list list;
    jb_window *window = window_with(8 * LIMIT);
    uint64_t random = 521288629, now = 7, latest, last_take = 0;

    for (int i = 0; i < N_STEPS; i++) {
        uint64_t n = draw64(&random) % 3 ? 1 : 1 + draw64(&random) % 20, retry = 0;
        bool fits;

        now += random_pause(&random, PERIOD / 50);
        if (draw64(&random) % 100 == 0 && now > PERIOD)
            now -= draw64(&random) % PERIOD;
        latest = now > last_take ? now : last_take; /* it stands still */
        fits = list_sum(&list, latest, PERIOD) + n <= LIMIT;
        LAW(jb_window_take(window, n, now, &retry) == (fits ? 0 : JB_EAGAIN));
        if (fits) {
            list_add(&list, latest, n, PERIOD);
            last_take = latest;
        } else {
            LAW(jb_window_peek(window, n, now + retry - 1, NULL) == JB_EAGAIN);
            LAW(jb_window_peek(window, n, now + retry, NULL) == 0);
        }
        if (draw64(&random) % 10 == 0)
            list_refund(&list, window, now, &random);
    }
}
END_TEST

START_TEST(test_a_small_log_gives_no_more_and_not_much_later)
{
    static struct list list;
    uint32_t n_entries = 9;
    jb_window *window = window_with(n_entries);
    uint64_t random = 88675123, now = 7, grain = PERIOD / (n_entries - 1);

    for (int i = 0; i < N_STEPS; i++) {
        uint64_t n = 1 + draw64(&random) % 10;
        int rc;

        now += random_pause(&random, PERIOD / 50);
        rc = jb_window_peek(window, n, now, NULL);
        if (rc == 0)
            LAW(list_sum(&list, now, PERIOD) + n <= LIMIT);
        else
            LAW(list_sum(&list, now, PERIOD + grain) + n > LIMIT);
        if (jb_window_take(window, n, now, NULL) == 0)
            list_add(&list, now, n, PERIOD);
        if (draw64(&random) % 10 == 0)
            list_refund(&list, window, now, &random);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate-history");
    TCase *tc = suite_case(suite, "history");

    tcase_add_loop_test(tc, test_a_cell_is_a_bucket, 0, 4);
    tcase_add_test(tc, test_no_stretch_has_more_than_burst_and_rate_whatever_the_clock_does);
    tcase_add_test(tc, test_a_window_is_a_list);
    tcase_add_test(tc, test_a_small_log_gives_no_more_and_not_much_later);
    return suite_run(suite);
}
