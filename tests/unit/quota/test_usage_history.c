/*
 * A million random takes, commits, refunds and silences under five limits at once, beside a slow
 * model: buckets in 128 bits, lists of all that counts, and a count of what is open.
 */
#include "quota.h"

enum { CALLS, TOKENS };
enum { L_RATE, L_WINDOW, L_BOB, L_TOKENS, L_OPEN, N_LIMITS };
enum { N_STEPS = 1000000, LIST_MAX = 4096, OPEN_MAX = 5 };

/* As ck_assert(), which speaks to its parent each time, but silent while all is well. */
#define LAW(holds)                                                                                 \
    do {                                                                                           \
        if (!(holds))                                                                              \
            ck_abort_msg("%s", #holds);                                                            \
    } while (0)

__extension__ typedef __int128 big;

static const jb_limit_spec specs[N_LIMITS] = {
    [L_RATE] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 7, S, 10},
    [L_WINDOW] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 2000, 40, 10 * S, 0},
    [L_BOB] = {CALLS, BOB, JB_LIMIT_WINDOW, 2000, 15, 10 * S, 0},
    [L_TOKENS] = {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 1000, S, 500},
    [L_OPEN] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_OPEN, 0, OPEN_MAX, 0, 0},
};

static jb_coord *coord;
static uint64_t random_state;

/* What a limit of the model has given. */
static struct {
    big content; /* of a bucket, in 64ths of a nanosecond */
    struct {
        uint64_t time, amount;
    } list[LIST_MAX];
    unsigned first, end;
} model[N_LIMITS];
static uint64_t model_now;

struct holding {
    jb_usage usage;
    uint64_t amounts[2]; /* by resource */
    uint32_t component;
};

static struct holding holdings[OPEN_MAX];
static unsigned n_holdings; /* the oldest first */
static uint64_t n_given;

static uint64_t roll(uint64_t n)
{
    return draw64(&random_state) % n;
}

static big price(unsigned l)
{
    return (big)((64 * specs[l].period_ns + specs[l].amount - 1) / specs[l].amount);
}

static bool counts(unsigned l, uint32_t component)
{
    return specs[l].component == JB_LIMIT_ALL || specs[l].component == component;
}

static void model_fill(unsigned l, big more)
{
    big most = price(l) * (big)specs[l].burst;

    model[l].content += more;
    if (model[l].content > most)
        model[l].content = most;
}

static uint64_t model_sum(unsigned l)
{
    uint64_t sum = 0;

    while (model[l].first != model[l].end &&
           test_now_ns - model[l].list[model[l].first % LIST_MAX].time >= specs[l].period_ns)
        model[l].first++;
    for (unsigned i = model[l].first; i != model[l].end; i++)
        sum += model[l].list[i % LIST_MAX].amount;
    for (unsigned i = 0; i < n_holdings; i++)
        sum += counts(l, holdings[i].component) ? holdings[i].amounts[specs[l].resource] : 0;
    return sum;
}

static bool model_allows(unsigned l, uint64_t n)
{
    if (specs[l].kind == JB_LIMIT_OPEN)
        return n_holdings < OPEN_MAX;
    if (specs[l].kind == JB_LIMIT_RATE)
        return model[l].content >= price(l) * (big)n;
    return model_sum(l) + n <= specs[l].amount;
}

/* Taken for good, or, of a rate, reserved. */
static void model_add(unsigned l, uint64_t n, bool is_reserved)
{
    if (specs[l].kind == JB_LIMIT_RATE)
        model[l].content -= price(l) * (big)n;
    if (specs[l].kind != JB_LIMIT_WINDOW || is_reserved)
        return;
    LAW(model[l].end - model[l].first < LIST_MAX);
    model[l].list[model[l].end % LIST_MAX].time = test_now_ns;
    model[l].list[model[l].end++ % LIST_MAX].amount = n;
}

/* The reservation at that place has ended. */
static void model_settle(unsigned at, const uint64_t *used)
{
    struct holding *holding = &holdings[at];

    for (unsigned l = 0; l < N_LIMITS; l++) {
        uint64_t n = used[specs[l].resource], reserved = holding->amounts[specs[l].resource];

        if (!counts(l, holding->component))
            continue;
        if (specs[l].kind == JB_LIMIT_RATE)
            model_fill(l, price(l) * ((big)reserved - (big)n));
        (void)model_sum(l);
        if (specs[l].kind == JB_LIMIT_WINDOW)
            model_add(l, n, false);
    }
    memmove(holding, holding + 1, (--n_holdings - at) * sizeof *holding);
}

/* Let time pass, and with it the reservations that nobody ended. */
static void model_wait(uint64_t now)
{
    test_now_ns = now;
    model_fill(L_RATE, (big)(now - model_now) * 64);
    model_fill(L_TOKENS, (big)(now - model_now) * 64);
    model_now = now;
    while (n_holdings != 0 && holdings[0].usage.deadline_ns <= now) {
        uint64_t in_full[2] = {holdings[0].amounts[0], holdings[0].amounts[1]};

        model_settle(0, in_full);
    }
}

/* Ask for that; true when it was given. */
static bool step_take(uint32_t component, uint64_t calls, uint64_t tokens, bool is_reserved,
                      jb_denial *ret_denial)
{
    jb_amount amounts[] = {{.resource = CALLS, .amount = calls},
                           {.resource = TOKENS, .amount = tokens}};
    jb_take take = {.component = component, .n_amounts = 2, .amounts = amounts};
    jb_usage usage = {0};
    bool fits = true;
    int rc;

    for (unsigned l = 0; l < N_LIMITS; l++)
        fits &= !counts(l, component) || model_allows(l, amounts[specs[l].resource].amount);
    rc = jb_usage_try(coord, &take, is_reserved ? &usage : NULL, ret_denial);
    LAW(rc == (fits ? 0 : JB_EAGAIN));
    if (rc != 0)
        return false;
    for (unsigned l = 0; l < N_LIMITS; l++) {
        if (counts(l, component))
            model_add(l, amounts[specs[l].resource].amount, is_reserved);
    }
    if (is_reserved)
        holdings[n_holdings++] =
            (struct holding){.usage = usage, .amounts = {calls, tokens}, .component = component};
    n_given += calls;
    return true;
}

/* Denied until a nanosecond before the time that was told, and given then, unless a reservation
 * that ended meanwhile moved it. */
static void step_retry(uint32_t component, uint64_t calls, uint64_t tokens, uint64_t retry_ns)
{
    uint64_t when = test_now_ns + retry_ns;
    unsigned n_before = n_holdings;
    jb_denial denial;
    bool is_early, is_given;

    model_wait(when - 1);
    is_early = step_take(component, calls, tokens, false, &denial);
    model_wait(when);
    is_given = step_take(component, calls, tokens, false, &denial);
    if (n_holdings == n_before)
        LAW(!is_early && is_given);
}

static void step_end(void)
{
    unsigned at = (unsigned)roll(n_holdings);
    struct holding holding = holdings[at];
    uint64_t used[2] = {roll(holding.amounts[0] + 1), roll(2 * holding.amounts[1] + 1)};

    if (roll(3) == 0) {
        used[0] = used[1] = 0;
        LAW(jb_usage_refund(coord, &holding.usage) == 0);
    } else {
        LAW(jb_usage_commit(coord, &holding.usage, used, 2) == 0);
    }
    model_settle(at, used);
    LAW(jb_usage_refund(coord, &holding.usage) == JB_ENOENT);
}

static void compare(void)
{
    for (unsigned l = 0; l < N_LIMITS; l++) {
        jb_limit_info info;
        uint64_t left;

        LAW(jb_coord_limit_at(coord, l, &info) == 0);
        if (specs[l].kind == JB_LIMIT_OPEN) {
            LAW(info.reserved == n_holdings);
            continue;
        }
        if (specs[l].kind == JB_LIMIT_RATE)
            left = model[l].content > 0 ? (uint64_t)(model[l].content / price(l)) : 0;
        else
            left = model_sum(l) < specs[l].amount ? specs[l].amount - model_sum(l) : 0;
        LAW(info.remaining == left);
    }
}

static void begin(void)
{
    static const jb_resource_spec resources[] = {
        {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 1},
        {.name = "tokens", .kind = JB_RESOURCE_TOKENS, .capacity = 1}};
    jb_coord_opts opts;

    small_opts(&opts);
    opts.resources = resources;
    opts.limits = specs;
    opts.n_limits = N_LIMITS;
    opts.reservation_ns = 3 * S;
    model_now = test_now_ns = 1000 * S;
    coord = open_coord(NULL, &opts);
    memset(model, 0, sizeof model);
    n_holdings = 0;
    n_given = 0;
    random_state = 2463534242u;
    model_fill(L_RATE, (big)1 << 100);
    model_fill(L_TOKENS, (big)1 << 100);
}

START_TEST(test_five_limits_at_once_are_what_a_slow_model_says)
{
    for (int i = 0; i < N_STEPS; i++) {
        uint32_t component = (uint32_t)roll(N_COMPONENTS);
        uint64_t calls = 1 + roll(3), tokens = roll(200);
        bool is_reserved = roll(2) == 0;
        jb_denial denial;

        if (roll(3) == 0)
            model_wait(test_now_ns + roll(roll(50) == 0 ? 8 * S : S / 3));
        if (n_holdings != 0 && roll(3) == 0) {
            step_end();
        } else if (!step_take(component, calls, tokens, is_reserved, &denial) && roll(4) == 0 &&
                   denial.retry_after_ns < 3 * S / 2) {
            step_retry(component, calls, tokens, denial.retry_after_ns);
        }
        if (roll(10) == 0)
            compare();
    }
    ck_assert_uint_gt(n_given, N_STEPS / 10);
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-usage-history");
    TCase *tc = suite_case(suite, "history");

    tcase_add_checked_fixture(tc, begin, NULL);
    tcase_add_test(tc, test_five_limits_at_once_are_what_a_slow_model_says);
    return suite_run(suite);
}
