/*
 * rate_line.h: a coordinator with a few rates, and short ways of standing in line for them.
 */
#ifndef TEST_RATE_LINE_H
#define TEST_RATE_LINE_H

#include "quota.h"

enum { CALLS, TOKENS, OTHER };
enum { L_CALLS, L_TOKENS, L_OPEN, L_BOB, N_LIMITS };

#define NEVER UINT64_MAX

static jb_coord *coord;
static jb_denial denial;

static inline void line_opts(jb_coord_opts *opts, const jb_limit_spec *limits, uint32_t n_limits)
{
    static const jb_resource_spec resources[] = {
        {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 1},
        {.name = "tokens", .kind = JB_RESOURCE_TOKENS, .capacity = 1},
        {.name = "other", .kind = JB_RESOURCE_CALLS, .capacity = 1},
    };

    small_opts(opts);
    opts->resources = resources;
    opts->n_resources = 3;
    opts->limits = limits;
    opts->n_limits = n_limits;
    opts->max_reservations = 6;
    opts->max_waiters = 8;
    opts->reservation_ns = 3600 * S;
    opts->aging_ns = S;
}

/* Ten calls and a thousand tokens a second, one thing at a time of another service, and BOB alone
 * may make 100 calls a minute. */
static inline void open_with(uint64_t (*clock)(void *))
{
    static const jb_limit_spec limits[N_LIMITS] = {
        [L_CALLS] = {CALLS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 10, S, 0},
        [L_TOKENS] = {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 1000, S, 0},
        [L_OPEN] = {OTHER, JB_LIMIT_ALL, JB_LIMIT_OPEN, 0, 1, 0, 0},
        [L_BOB] = {CALLS, BOB, JB_LIMIT_WINDOW, 0, 100, 60 * S, 0},
    };
    jb_coord_opts opts;

    line_opts(&opts, limits, N_LIMITS);
    opts.clock = clock;
    coord = open_coord(NULL, &opts);
}

static inline void begin(void)
{
    open_with(test_clock);
    test_now_ns = 1000 * S;
}

static inline void end(void)
{
    audit(coord);
    jb_coord_close(coord);
}

static inline jb_take take_of(uint32_t component, uint32_t lease_class, const jb_amount *amount)
{
    return (jb_take){
        .component = component, .n_amounts = 1, .amounts = amount, .lease_class = lease_class};
}

/* Take for good, now or not at all. */
static inline int try_calls(uint32_t component, uint32_t lease_class, uint64_t n)
{
    const jb_amount amount = {.resource = CALLS, .amount = n};
    const jb_take take = take_of(component, lease_class, &amount);

    return jb_usage_try(coord, &take, NULL, &denial);
}

static inline jb_ticket ask(uint32_t component, uint32_t lease_class, uint32_t resource, uint64_t n)
{
    const jb_amount amount = {.resource = resource, .amount = n};
    const jb_take take = take_of(component, lease_class, &amount);
    jb_ticket ticket = {0};

    ck_assert_int_eq(jb_usage_request(coord, &take, NEVER, &ticket), 0);
    return ticket;
}

/* Poll; what was reserved is used. */
static inline int poll(const jb_ticket *ticket)
{
    jb_usage usage;
    int rc = jb_usage_poll(coord, ticket, &usage, &denial);

    if (rc == 1)
        ck_assert_int_eq(jb_usage_commit(coord, &usage, NULL, 0), 0);
    return rc;
}

/* All calls there are. */
static inline void drain(void)
{
    ck_assert_int_eq(try_calls(CAROL, 0, 10), 0);
}

#endif
