/*
 * lease.c: a lease that is acquired and released again while nobody else wants it: in one process,
 * through shared memory, and among a hundred thousand others with deadlines. And what a look at one
 * costs while ten thousand lines of others stand there.
 */
#include "bench.h"
#include "jimbot/quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N_LIVE = 100000, N_LINES = 10000, N_DISKS = 64 };

static const jb_resource_spec resources[] = {
    {.name = "vram", .kind = JB_RESOURCE_GPU_MEMORY, .capacity = UINT64_C(24) << 30}};
static const jb_component_spec components[] = {{.name = "trainer"}, {.name = "advisor"}};

static jb_coord *coord;
static char name[64];
static jb_lease *live;
static uint64_t seed;

static void open_as(const char *as, uint32_t max_leases)
{
    jb_coord_opts opts;
    jb_error err;

    jb_error_init(&err);
    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = resources;
    opts.n_resources = 1;
    opts.components = components;
    opts.n_components = 2;
    opts.max_leases = max_leases;
    if (jb_coord_open(as, &opts, &coord, &err) != 0)
        die(err.msg);
}

static void open_alone(void)
{
    open_as(NULL, 1024);
}

static void open_shared(void)
{
    snprintf(name, sizeof name, "bench-quota-%ld", (long)getpid());
    open_as(name, 1024);
}

static void close_it(void)
{
    jb_coord_close(coord);
    if (name[0] != '\0')
        (void)jb_coord_unlink(name, NULL);
    name[0] = '\0';
}

/* A second later each, so that the heap has something to do. */
static void get(jb_lease *ret_lease, uint64_t hold_ns)
{
    const jb_amount amount = {.resource = 0, .amount = 1000};
    const jb_want want = {.n_amounts = 1, .amounts = &amount, .hold_ns = hold_ns};

    if (jb_coord_acquire(coord, &want, 0, ret_lease) != 0)
        die("what is free was not given");
}

static void pairs(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t begin = now_ns();
        jb_lease lease;

        get(&lease, UINT64_C(60000000000));
        if (jb_lease_release(coord, &lease) != 0)
            die("a lease could not be released");
        took(now_ns() - begin);
    }
}

static uint64_t next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed >> 33;
}

static uint64_t random_hold(void)
{
    return UINT64_C(3600000000000) + next_random() * 1000;
}

static void fill(void)
{
    open_as(NULL, N_LIVE + 1);
    live = calloc(N_LIVE, sizeof *live);
    if (!live)
        die("no memory");
    for (uint32_t i = 0; i < N_LIVE; i++)
        get(&live[i], random_hold());
}

static void empty(void)
{
    close_it();
    free(live);
}

/* Any one of them ends and another begins. */
static void replace(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        jb_lease *lease = &live[next_random() % N_LIVE];
        uint64_t hold_ns = random_hold(), begin = now_ns();

        if (jb_lease_release(coord, lease) != 0)
            die("a lease could not be released");
        get(lease, hold_ns);
        took(now_ns() - begin);
    }
}

static void open_with_disks(void)
{
    static jb_resource_spec disks[N_DISKS];
    static char names[N_DISKS][16];
    jb_coord_opts opts;
    jb_error err;

    for (int i = 0; i < N_DISKS; i++) {
        snprintf(names[i], sizeof names[i], "disk%d", i);
        disks[i] = (jb_resource_spec){.name = names[i], .kind = JB_RESOURCE_MEMORY, .capacity = 1};
    }
    jb_error_init(&err);
    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = disks;
    opts.n_resources = N_DISKS;
    opts.components = components;
    opts.n_components = 2;
    opts.max_waiters = N_LINES;
    opts.aging_ns = UINT64_C(1) << 59;
    if (jb_coord_open(NULL, &opts, &coord, &err) != 0)
        die(err.msg);
}

/* Each line is of one class and one set of disks, all of which the first lease has. */
static void fill_lines(void)
{
    jb_amount amounts[3] = {{.amount = 1}, {.amount = 1}, {.amount = 1}};
    jb_want want = {.n_amounts = 1, .amounts = amounts};
    uint32_t n = 0;
    jb_ticket ticket;
    jb_lease lease;

    open_with_disks();
    live = calloc(1, sizeof *live);
    if (!live)
        die("no memory");
    for (uint32_t i = 0; i < N_DISKS; i++) {
        amounts[0].resource = i;
        if (jb_coord_acquire(coord, &want, 0, i ? &lease : live) != 0)
            die("what is free was not given");
    }
    want.n_amounts = 3;
    for (uint32_t i = 0; n < N_LINES; i++) {
        amounts[0].resource = i % N_DISKS;
        amounts[1].resource = (i + 1 + i / N_DISKS % 32) % N_DISKS;
        amounts[2].resource = (i + 33 + i / N_DISKS / 32 % 31) % N_DISKS;
        want.lease_class = JB_CLASS_LOW + i % 4;
        if (amounts[1].resource == amounts[2].resource)
            continue;
        if (jb_coord_request(coord, &want, &ticket) != 0)
            die("somebody could not wait");
        n++;
    }
}

static void look(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t begin = now_ns();

        if (jb_lease_check(coord, live, NULL) != JB_LEASE_GOOD)
            die("a lease is gone");
        took(now_ns() - begin);
    }
}

static const struct entry among_lines = {
    .name = "check one", .prepare = fill_lines, .work = look, .end = empty};
static const struct entry alone = {
    .name = "acquire and release", .prepare = open_alone, .work = pairs, .end = close_it};
static const struct entry shared = {
    .name = "acquire and release", .prepare = open_shared, .work = pairs, .end = close_it};
static const struct entry among_many = {
    .name = "release one, acquire one", .prepare = fill, .work = replace, .end = empty};

const struct row lease_alone = {.name = "lease_alone",
                                .title = "a lease in one process",
                                .n = 100000,
                                .aim_ns = 200,
                                .is_latency = true,
                                .entries = {&alone}};
const struct row lease_shared = {.name = "lease_shared",
                                 .title = "a lease through shared memory",
                                 .n = 100000,
                                 .aim_p99_ns = 1000,
                                 .is_latency = true,
                                 .entries = {&shared}};
const struct row lease_100k = {.name = "lease_100k",
                               .title = "a lease among 100,000 live ones, all with deadlines",
                               .n = 100000,
                               .is_latency = true,
                               .entries = {&among_many}};
const struct row lease_lines = {.name = "lease_lines",
                                .title = "a look at a lease while 10,000 lines wait",
                                .n = 100000,
                                .is_latency = true,
                                .entries = {&among_lines}};
