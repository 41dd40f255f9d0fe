/*
 * Random histories of a line for one rate: nobody goes past one who is due and was due earlier, nor
 * past one of a higher class, nor past one of his own who came before; and the first of all waits
 * only for what is not there.
 */
#include "rate_line.h"

enum { N_STEPS = 300000, PLACES = 6 };

#define FREE UINT64_MAX

struct place {
    jb_ticket ticket;
    uint64_t since_ns; /* FREE */
    uint64_t due_ns;
    uint64_t n;
    uint32_t component;
    uint32_t lease_class;
};

static struct place places[PLACES];

static bool is_due(const struct place *place)
{
    return place->due_ns <= test_now_ns;
}

/* Does this one have to go first? */
static bool is_first(const struct place *one, const struct place *other)
{
    if (is_due(one) || is_due(other))
        return is_due(one) && (!is_due(other) || one->due_ns < other->due_ns);
    if (one->lease_class != other->lease_class)
        return one->lease_class > other->lease_class;
    return one->component == other->component && one->ticket.id < other->ticket.id;
}

static struct place place_now(uint32_t component, uint32_t lease_class, uint64_t n)
{
    return (struct place){.ticket = {.id = UINT64_MAX},
                          .since_ns = test_now_ns,
                          .due_ns = test_now_ns + (5 - lease_class) * S,
                          .n = n,
                          .component = component,
                          .lease_class = lease_class};
}

/* Nobody who waits was to go before it. */
static void check_went(const struct place *went)
{
    for (int i = 0; i < PLACES; i++)
        must(places[i].since_ns == FREE || !is_first(&places[i], went));
}

static void join(void)
{
    struct place place = place_now(dice(2) * CAROL, 1 + dice(4), 1 + dice(10));

    for (int i = 0; i < PLACES; i++) {
        if (places[i].since_ns != FREE)
            continue;
        places[i] = place;
        places[i].ticket = ask(place.component, place.lease_class, CALLS, place.n);
        return;
    }
}

/* Several may have gone at this moment: each before whoever is left. */
static void poll_all(void)
{
    struct place went[PLACES];
    int n = 0;

    for (int i = 0; i < PLACES; i++) {
        if (places[i].since_ns == FREE || poll(&places[i].ticket) != 1)
            continue;
        went[n++] = places[i];
        places[i].since_ns = FREE;
    }
    for (int i = 0; i < n; i++)
        check_went(&went[i]);
}

/* Who comes first of all, as far as weights do not decide, waits for what is not there. */
static void check_first(void)
{
    const struct place *first = NULL;
    jb_limit_info info;

    for (int i = 0; i < PLACES; i++) {
        if (places[i].since_ns != FREE && (!first || is_first(&places[i], first)))
            first = &places[i];
    }
    if (!first)
        return;
    must(jb_coord_limit_at(coord, L_CALLS, &info) == 0);
    for (int i = 0; i < PLACES; i++) {
        if (places[i].since_ns != FREE && &places[i] != first && !is_first(first, &places[i]))
            return;
    }
    must(info.remaining < first->n);
}

static void step(void)
{
    uint32_t what = dice(8), component = dice(2) * CAROL, lease_class = 1 + dice(4);
    uint64_t n = 1 + dice(10);
    struct place place = place_now(component, lease_class, n);
    int at = (int)dice(PLACES);

    if (what < 3)
        test_now_ns += dice(4) ? dice(300) * MS : dice(S);
    if (what == 3 || what == 4)
        join();
    if (what == 5 && dice(8) == 0 && places[at].since_ns != FREE) {
        must(jb_usage_cancel(coord, &places[at].ticket) == 0);
        places[at].since_ns = FREE;
    }
    poll_all();
    if (what >= 6 && try_calls(component, lease_class, n) == 0)
        check_went(&place);
    check_first();
}

static void begin_empty(void)
{
    begin();
    for (int i = 0; i < PLACES; i++)
        places[i].since_ns = FREE;
}

START_TEST(test_nobody_goes_past_who_is_before_him)
{
    for (int i = 0; i < N_STEPS; i++)
        step();
}
END_TEST

/* What others want is not in the way of one who wants nothing of it. */
START_TEST(test_who_shares_nothing_does_not_wait)
{
    for (int i = 0; i < N_STEPS / 10; i++) {
        const jb_amount amount = {.resource = TOKENS, .amount = 1 + dice(1000)};
        const jb_take take = take_of(BOB, JB_CLASS_LOW, &amount);
        jb_limit_info info;

        must(jb_coord_limit_at(coord, L_TOKENS, &info) == 0);
        must((jb_usage_try(coord, &take, NULL, NULL) == 0) == (info.remaining >= amount.amount));
        step();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-rate-order");
    TCase *tc = suite_case(suite, "order");

    tcase_add_checked_fixture(tc, begin_empty, end);
    tcase_add_test(tc, test_nobody_goes_past_who_is_before_him);
    tcase_add_test(tc, test_who_shares_nothing_does_not_wait);
    return suite_run(suite);
}
