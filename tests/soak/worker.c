/*
 * worker.c: the life of a worker of a consumer group.
 *
 * Invariant: the ledger knows of an event that it was given before anything is done with it, and
 * that it is to be acknowledged before it is.
 */
#include "crew.h"
#include "witness.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { WORKER_MAX = JB_GROUP_PENDING_MAX };

struct worker {
    struct ledger *ledger;
    const struct role *role;
    struct reader_row *row;
    uint32_t idx;
    uint64_t random;
    struct witness witness;
    jb_bus *bus;
    jb_worker *worker;
    uint32_t n_max;            /* events to take in one go */
    uint64_t last_new;         /* sequence of the last one that nobody was given before */
    uint64_t held[WORKER_MAX]; /* sequences */
    uint32_t n_held;
    jb_event events[WORKER_MAX];
};

#define worker_fail(self, ...) witness_fail(&(self)->witness, __VA_ARGS__)

/* What was taken is held, is what it must be, and the new ones among it are in order. */
static bool receive(struct worker *self, int n)
{
    for (int i = 0; i < n; i++) {
        const jb_event *event = &self->events[i];

        if (!crew_hold(self->ledger, self->idx, event) || !witness_is_sound(&self->witness, event))
            return false;
        self->held[self->n_held++] = event->sequence;
        if (event->n_deliveries > 1)
            continue;
        if (event->sequence <= self->last_new) {
            worker_fail(self, "event %lu, never given before, after event %lu",
                        (unsigned long)event->sequence, (unsigned long)self->last_new);
            return false;
        }
        self->last_new = event->sequence;
    }
    return true;
}

/* One of those held, or gives it back. */
static int acknowledge(struct worker *self, uint32_t i)
{
    uint64_t sequence = self->held[i];
    int rc;

    self->held[i] = self->held[--self->n_held];
    if (soak_below(&self->random, 256) == 0) {
        crew_give_back(self->ledger, sequence);
        return jb_worker_nack(self->worker, sequence);
    }
    crew_acknowledging(self->ledger, sequence);
    rc = jb_worker_ack(self->worker, sequence);
    if (rc == 0)
        crew_acknowledged(self->ledger, sequence);
    return rc;
}

static int acknowledge_all(struct worker *self)
{
    uint32_t n = self->n_held;
    int rc;

    for (uint32_t i = 0; i < n; i++)
        crew_acknowledging(self->ledger, self->held[i]);
    rc = jb_worker_ack_all(self->worker);
    for (uint32_t i = 0; i < n && rc >= 0; i++)
        crew_acknowledged(self->ledger, self->held[i]);
    self->n_held = 0;
    return rc < 0 || (uint32_t)rc == n ? rc : JB_ESTATE;
}

/* Acknowledges all, one by one or at once, or some, in any order. */
static bool finish_some(struct worker *self, bool is_all)
{
    uint32_t n_left = 0;
    int rc = 0;

    if (!is_all && soak_below(&self->random, 2))
        n_left = self->n_held / 2;
    if (n_left == 0 && soak_below(&self->random, 4) == 0)
        rc = acknowledge_all(self);
    while (rc >= 0 && self->n_held > n_left)
        rc = acknowledge(self, (uint32_t)soak_below(&self->random, self->n_held));
    if (rc < 0)
        worker_fail(self, "an event taken cannot be acknowledged, or not all: %s", jb_err_name(rc));
    return rc >= 0;
}

static bool group_stats(struct worker *self, jb_group_stats *ret_stats)
{
    int rc;

    ret_stats->size = sizeof *ret_stats;
    rc = jb_bus_group_stats(self->bus, 0, ret_stats);
    if (rc)
        worker_fail(self, "jb_bus_group_stats: %s", jb_err_name(rc));
    return rc == 0;
}

/* Nothing to take. Waits, and answers the director's calls when the group has done all. */
static bool rest(struct worker *self, uint32_t calls)
{
    jb_group_stats stats;
    int rc;

    if (calls) {
        if (!group_stats(self, &stats))
            return false;
        if (stats.n_pending == 0 && stats.lag_bytes == 0)
            atomic_store(&self->row->calls, calls);
        actor_nap_us(500);
        return true;
    }
    rc = jb_worker_wait(self->worker, soak_below(&self->random, 20000000));
    if (rc < 0)
        worker_fail(self, "jb_worker_wait: %s", jb_err_name(rc));
    return rc >= 0;
}

/* Now and then what it holds is its last. */
static void die_holding(struct worker *self)
{
    if (self->n_held == 0 || soak_below(&self->random, 2048))
        return;
    crew_doom(self->ledger, self->idx);
    atomic_store(&self->row->is_dying, 1);
    raise(SIGKILL);
}

static bool work(struct worker *self)
{
    while (!atomic_load(&self->row->wants_end) && !atomic_load(&self->ledger->final)) {
        uint32_t calls = atomic_load(&self->ledger->calls), room = WORKER_MAX - self->n_held;
        int n = jb_worker_take(self->worker, self->events, self->n_max < room ? self->n_max : room);

        if (n < 0) {
            worker_fail(self, "jb_worker_take: %s", jb_err_name(n));
            return false;
        }
        if (!receive(self, n) || (n == 0 && self->n_held == 0 && !rest(self, calls)))
            return false;
        die_holding(self);
        if (soak_below(&self->random, 16) == 0 || (n == 0 && self->n_held))
            actor_nap_us(soak_below(&self->random, self->role->nap_us));
        if (!finish_some(self, calls || (n == 0 && soak_below(&self->random, 4) == 0)))
            return false;
    }
    return true;
}

static bool join(struct worker *self)
{
    const char *pattern = self->role->patterns[0];
    jb_group_opts opts;
    int rc = JB_ETIMEDOUT;
    jb_error err;

    jb_group_opts_init(&opts, sizeof opts);
    jb_error_init(&err);
    opts.start = self->role->start;
    /* Somebody who is stopped in the middle of joining holds up the others. */
    for (uint32_t i = 0; i < 10 * self->ledger->slow && rc == JB_ETIMEDOUT; i++)
        rc = jb_group_join(self->bus, "crew", pattern, strlen(pattern), &opts, &self->worker, &err);
    if (rc) {
        worker_fail(self, "jb_group_join: %s: %s", jb_err_name(rc), err.msg);
        return false;
    }
    crew_join(self->ledger, self->idx);
    atomic_store(&self->row->phase, READER_READY);
    return true;
}

/* What it still holds is for the others. */
static bool leave(struct worker *self)
{
    jb_group_stats stats;

    if (atomic_load(&self->ledger->final)) {
        if (!group_stats(self, &stats))
            return false;
        crew_close(self->ledger, &stats);
    }
    for (uint32_t i = 0; i < self->n_held; i++)
        crew_give_back(self->ledger, self->held[i]);
    crew_leave(self->ledger, self->idx);
    return true;
}

int worker_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed)
{
    static const uint32_t batches[] = {1, 3, 16, 100, WORKER_MAX};
    struct worker *self = calloc(1, sizeof *self);
    bool is_well = false;

    if (!self)
        return 1;
    self->ledger = ledger;
    self->role = role;
    self->row = &ledger->readers[row];
    self->idx = row;
    self->random = seed;
    self->n_max = batches[soak_below(&self->random, sizeof batches / sizeof batches[0])];
    self->bus = actor_open_bus(ledger, role);
    witness_begin(&self->witness, ledger, role, self->row, self->bus);
    if (self->bus)
        is_well = join(self) && work(self) && leave(self);
    jb_worker_leave(self->worker);
    jb_bus_close(self->bus);
    free(self);
    return !is_well;
}
