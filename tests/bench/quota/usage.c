/*
 * usage.c: reserving and committing one call under four limits of a coordinator.
 */
#include "jimbot/usage.h"
#include "bench.h"

enum { CALLS, TOKENS };

#define MINUTE_NS UINT64_C(60000000000)

static const jb_resource_spec resources[] = {
    {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 1},
    {.name = "tokens", .kind = JB_RESOURCE_TOKENS, .capacity = 1}};
static const jb_component_spec components[] = {{.name = "advisor"}};
static const jb_limit_spec limits[] = {
    {CALLS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, UINT64_C(1) << 40, MINUTE_NS, 0},
    {CALLS, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 256, UINT64_C(1) << 40, MINUTE_NS, 0},
    {TOKENS, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, UINT64_C(1) << 40, MINUTE_NS, 0},
    {TOKENS, 0, JB_LIMIT_RATE, 0, UINT64_C(1) << 40, MINUTE_NS, 0},
};

static jb_coord *coord;

static void open_alone(void)
{
    jb_coord_opts opts;
    jb_error err;

    jb_error_init(&err);
    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = resources;
    opts.n_resources = 2;
    opts.components = components;
    opts.n_components = 1;
    opts.limits = limits;
    opts.n_limits = 4;
    if (jb_coord_open(NULL, &opts, &coord, &err) != 0)
        die(err.msg);
}

static void close_it(void)
{
    jb_coord_close(coord);
}

static void pairs(uint64_t n)
{
    const jb_amount amounts[] = {{.resource = CALLS, .amount = 1},
                                 {.resource = TOKENS, .amount = 900}};
    const jb_take take = {.n_amounts = 2, .amounts = amounts};
    const uint64_t used[] = {1, 400};

    for (uint64_t i = 0; i < n; i++) {
        uint64_t begin = now_ns();
        jb_usage usage;

        if (jb_usage_reserve(coord, &take, 0, &usage, NULL) != 0 ||
            jb_usage_commit(coord, &usage, used, 2) != 0)
            die("a rate that is far from used up was not given");
        took(now_ns() - begin);
    }
}

static const struct entry ours = {
    .name = "reserve and commit", .prepare = open_alone, .work = pairs, .end = close_it};

const struct row usage_alone = {.name = "usage_alone",
                                .title = "a call under four limits, in one process",
                                .n = 100000,
                                .is_latency = true,
                                .entries = {&ours}};
