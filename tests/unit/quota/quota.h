/*
 * quota.h: a small coordinator whose clock the test sets, and short ways of asking it.
 */
#ifndef TEST_QUOTA_H
#define TEST_QUOTA_H

#include "support/draw.h"
#include "support/suite.h"

enum { MEM, GPU, N_RESOURCES };
enum { ALICE, BOB, CAROL, N_COMPONENTS };

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static uint64_t test_now_ns;
static uint64_t seed;

static inline uint32_t dice(uint32_t n)
{
    return draw_below(&seed, n);
}

static inline uint64_t test_clock(void *userdata)
{
    (void)userdata;
    return test_now_ns;
}

static inline void small_opts(jb_coord_opts *opts)
{
    static const jb_resource_spec resources[N_RESOURCES] = {
        {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 110, .headroom = 10},
        {.name = "gpu", .kind = JB_RESOURCE_GPU_TIME, .capacity = 1000},
    };
    static const jb_component_spec components[N_COMPONENTS] = {
        {.name = "alice", .weight = 3}, {.name = "bob", .weight = 1}, {.name = "carol"}};

    test_now_ns = S;
    jb_coord_opts_init(opts, sizeof *opts);
    opts->resources = resources;
    opts->n_resources = N_RESOURCES;
    opts->components = components;
    opts->n_components = N_COMPONENTS;
    opts->max_leases = 16;
    opts->max_waiters = 16;
    opts->clock = test_clock;
}

static inline jb_coord *small_coord(void)
{
    jb_coord_opts opts;

    small_opts(&opts);
    return open_coord(NULL, &opts);
}

static inline void audit(jb_coord *coord)
{
    jb_error err;

    jb_error_init(&err);
    if (jb_coord_audit(coord, &err) != 0)
        ck_abort_msg("%s", err.msg);
}

/* The end of a test: whatever it did, the books are whole. */
static inline void finish(jb_coord *coord)
{
    audit(coord);
    jb_coord_close(coord);
}

static inline jb_want want_of(uint32_t component, uint32_t lease_class, const jb_amount *amount)
{
    return (jb_want){
        .component = component, .lease_class = lease_class, .n_amounts = 1, .amounts = amount};
}

static inline int try_as(jb_coord *coord, uint32_t component, uint32_t lease_class, uint64_t n,
                         jb_lease *ret_lease)
{
    jb_amount amount = {.resource = MEM, .amount = n};
    jb_want want = want_of(component, lease_class, &amount);

    return jb_coord_try(coord, &want, ret_lease);
}

static inline int try_mem(jb_coord *coord, uint32_t component, uint64_t n, uint64_t hold_ns,
                          jb_lease *ret_lease)
{
    jb_amount amount = {.resource = MEM, .amount = n};
    jb_want want = want_of(component, JB_CLASS_NORMAL, &amount);

    want.hold_ns = hold_ns;
    return jb_coord_try(coord, &want, ret_lease);
}

static inline jb_ticket ask_mem(jb_coord *coord, uint32_t component, uint32_t lease_class,
                                uint64_t n)
{
    jb_amount amount = {.resource = MEM, .amount = n};
    jb_want want = want_of(component, lease_class, &amount);
    jb_ticket ticket = {0};

    ck_assert_int_eq(jb_coord_request(coord, &want, &ticket), 0);
    return ticket;
}

static inline uint64_t allocated(jb_coord *coord, uint32_t resource)
{
    jb_resource_info info;

    if (jb_coord_resource_at(coord, resource, &info) != 0)
        ck_abort_msg("no resource %u", resource);
    return info.allocated;
}

#endif
