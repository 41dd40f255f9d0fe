/*
 * Processes that share a coordinator are killed at random, again and again, in the middle of
 * whatever they do: the books balance after each death, nothing a dead one held stays lost, and
 * what happened, added up from the records, is what the books say.
 */
#include "../integration/segment/segment.h"
#include "support/draw.h"
#include "support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum { N_WORKERS = 4, N_RESOURCES = 3, N_COMPONENTS = 3, MAX_LEASES = 64, HELD_MAX = 4 };

static const jb_resource_spec resources[N_RESOURCES] = {
    {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 100, .headroom = 10},
    {.name = "vram", .kind = JB_RESOURCE_GPU_MEMORY, .capacity = 50},
    {.name = "gpu", .kind = JB_RESOURCE_GPU_TIME, .capacity = 1},
};
static const jb_component_spec components[N_COMPONENTS] = {
    {.name = "a", .weight = 2}, {.name = "b"}, {.name = "c"}};

static jb_coord *open_shared(void)
{
    jb_coord_opts opts;

    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = resources;
    opts.n_resources = N_RESOURCES;
    opts.components = components;
    opts.n_components = N_COMPONENTS;
    opts.max_leases = MAX_LEASES;
    opts.max_waiters = 32;
    opts.max_records = 1u << 18;
    opts.notice_ns = 2000000;
    opts.aging_ns = 5000000;
    return open_coord("b", &opts);
}

static int ask(jb_coord *coord, uint64_t *seed, jb_lease *ret_lease)
{
    jb_amount amounts[2] = {{.resource = draw_below(seed, N_RESOURCES)}, {.resource = 0}};
    jb_want want = {
        .component = draw_below(seed, N_COMPONENTS),
        .lease_class = JB_CLASS_LOW + draw_below(seed, 4),
        .n_amounts = 1 + draw_below(seed, 2),
        .amounts = amounts,
        .hold_ns = draw_below(seed, 4) ? 0 : 1000000 + draw_below(seed, 1000000),
    };

    amounts[0].amount = resources[amounts[0].resource].capacity == 1 ? 1 : 1 + draw_below(seed, 40);
    amounts[1].resource = (amounts[0].resource + 1) % N_RESOURCES;
    amounts[1].amount = resources[amounts[1].resource].capacity == 1 ? 1 : 1 + draw_below(seed, 20);
    return draw_below(seed, 3)
               ? jb_coord_try(coord, &want, ret_lease)
               : jb_coord_acquire(coord, &want, 1 + draw_below(seed, 300000), ret_lease);
}

/* Asks, holds, shrinks, renews and gives back until it is killed. */
static void work(uint64_t seed)
{
    jb_lease held[HELD_MAX];
    uint32_t n = 0;
    jb_coord *coord = NULL;
    jb_error err;

    if (jb_coord_open("b", NULL, &coord, &err))
        _exit(1);
    for (;;) {
        uint32_t i = n ? draw_below(&seed, n) : 0;

        /* Whoever reads the records has to keep up. */
        if (draw_below(&seed, 8) == 0)
            usleep(100);
        if (n < HELD_MAX && ask(coord, &seed, &held[n]) == 0)
            n++;
        if (n && draw_below(&seed, 4) == 0)
            (void)jb_lease_renew(coord, &held[i], 0);
        if (n && draw_below(&seed, 4) == 0)
            (void)jb_lease_shrink(coord, &held[i], draw_below(&seed, N_RESOURCES), 1);
        if (n && (n == HELD_MAX || draw_below(&seed, 2) == 0)) {
            (void)jb_lease_release(coord, &held[i]);
            held[i] = held[--n];
        }
    }
}

static pid_t worker(uint64_t seed)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        end_with_parent();
        work(seed);
    }
    return pid;
}

/* The books as the records tell them. */
struct ledger {
    uint64_t cursor;
    uint64_t last_token;
    uint64_t sum[N_RESOURCES];
    uint64_t open[MAX_LEASES]; /* token of the lease that goes on in each slot */
    uint64_t n_granted;
    uint64_t n_died;
};

static void read_one(struct ledger *ledger, const jb_record *record)
{
    uint64_t limit = resources[record->resource].capacity - resources[record->resource].headroom;

    if (record->kind == JB_RECORD_GRANTED) {
        must(record->token >= ledger->last_token);
        if (record->token > ledger->last_token)
            must(ledger->open[record->slot] == 0);
        ledger->last_token = record->token;
        ledger->open[record->slot] = record->token;
        ledger->sum[record->resource] += record->amount;
        ledger->n_granted++;
        must(ledger->sum[record->resource] <= limit);
    } else if (record->kind == JB_RECORD_SHRUNK) {
        must(ledger->open[record->slot] == record->token);
        ledger->sum[record->resource] -= record->amount;
    } else if (record->kind == JB_RECORD_ENDED) {
        must(ledger->open[record->slot] == record->token);
        ledger->sum[record->resource] -= record->amount;
        ledger->n_died += record->reason == JB_LEASE_HOLDER_DIED;
        if (record->n_more == 0)
            ledger->open[record->slot] = 0;
    }
}

static void read_all(struct ledger *ledger, jb_coord *coord)
{
    uint64_t lost = 0;
    jb_record record;

    while (jb_coord_next_record(coord, &ledger->cursor, &record, &lost) == 1) {
        must(lost == 0);
        read_one(ledger, &record);
    }
}

static void look(jb_coord *coord)
{
    jb_error err;

    jb_error_init(&err);
    ck_assert_int_ge(jb_coord_tick(coord, NULL), 0);
    ck_assert_msg(jb_coord_audit(coord, &err) == 0, "%s", err.msg);
}

static void kill_worker(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(test_nothing_a_killed_process_held_stays_lost)
{
    jb_coord *coord = open_shared();
    pid_t pids[N_WORKERS];
    struct ledger ledger = {0};
    uint64_t seed = 7;
    jb_coord_stats stats;
    jb_resource_info info;

    for (int i = 0; i < N_WORKERS; i++)
        pids[i] = worker(seed + (uint64_t)i);
    for (int i = 0; i < KILLS; i++) {
        uint32_t who = draw_below(&seed, N_WORKERS);

        usleep(1000 + draw_below(&seed, 20000));
        kill_worker(pids[who]);
        look(coord);
        read_all(&ledger, coord);
        pids[who] = worker(seed);
    }
    for (int i = 0; i < N_WORKERS; i++)
        kill_worker(pids[i]);
    look(coord);
    read_all(&ledger, coord);
    ck_assert_int_eq(jb_coord_get_stats(coord, &stats), 0);
    ck_assert_uint_eq(stats.n_leases, 0);
    ck_assert_uint_eq(stats.n_waiting, 0);
    for (uint32_t i = 0; i < N_RESOURCES; i++) {
        ck_assert_int_eq(jb_coord_resource_at(coord, i, &info), 0);
        ck_assert_uint_eq(info.allocated, 0);
        ck_assert_uint_eq(ledger.sum[i], 0);
    }
    ck_assert_uint_gt(ledger.n_granted, KILLS);
    ck_assert_uint_gt(ledger.n_died, 0);
    printf("%llu granted, %llu ended by death, %llu died inside\n",
           (unsigned long long)ledger.n_granted, (unsigned long long)ledger.n_died,
           (unsigned long long)stats.n_takeovers);
    jb_coord_close(coord);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quota-kill");
    TCase *tc = suite_case(suite, "quota-kill");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_nothing_a_killed_process_held_stays_lost);
    return suite_run(suite);
}
