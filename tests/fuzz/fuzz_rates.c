/*
 * Limits that were written down: any bytes are taken up whole or refused whole, and give nothing
 * that could not be taken without them.
 */
#include "jimbot/usage.h"
#include "target.h"

static const jb_resource_spec resources[] = {
    {.name = "calls", .kind = JB_RESOURCE_CALLS, .capacity = 10},
    {.name = "tokens", .kind = JB_RESOURCE_TOKENS, .capacity = 1}};
static const jb_component_spec components[] = {{.name = "alice"}, {.name = "bob"}};
static const jb_limit_spec limits[] = {
    {1, JB_LIMIT_ALL, JB_LIMIT_RATE, 0, 600, UINT64_C(60000000000), 0},
    {0, JB_LIMIT_ALL, JB_LIMIT_WINDOW, 0, 100, UINT64_C(3600000000000), 0},
    {0, 1, JB_LIMIT_WINDOW, 4, 10, UINT64_C(3600000000000), 0},
};

static uint64_t now_ns(void *userdata)
{
    return *(uint64_t *)userdata;
}

static void look(jb_coord *coord, bool is_loaded)
{
    for (uint32_t i = 0; i < 3; i++) {
        jb_limit_info info;

        if (jb_coord_limit_at(coord, i, &info) != 0 || info.remaining > limits[i].amount ||
            info.in_force > limits[i].amount)
            abort();
        if (!is_loaded && (info.remaining != limits[i].amount || info.blocked_ns != 0))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t now = UINT64_C(1000000000);
    jb_coord_opts opts;
    jb_coord *coord = NULL;
    int rc;

    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = resources;
    opts.n_resources = 2;
    opts.components = components;
    opts.n_components = 2;
    opts.limits = limits;
    opts.n_limits = 3;
    opts.max_leases = opts.max_waiters = 1;
    opts.max_records = 16;
    opts.clock = now_ns;
    opts.clock_userdata = &now;
    if (jb_coord_open(NULL, &opts, &coord, NULL) != 0)
        abort();
    rc = jb_usage_load(coord, UINT64_C(1767225600000000000), data, size);
    if (rc != 0 && rc != JB_ECORRUPT)
        abort();
    look(coord, rc == 0);
    now += UINT64_C(7200000000000);
    look(coord, true);
    jb_coord_close(coord);
    return 0;
}
