/*
 * reader.c: the life of a reader.
 *
 * Invariant: what it has taken is in its row of the ledger, whole, at any instruction: a batch is
 * checked and written into the account that is not current, which then becomes current, and only
 * then is it taken from the bus.
 */
#include "reader.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 4096 };

static unsigned long ul(uint64_t n)
{
    return (unsigned long)n;
}

/* For the director, who waits for everyone to go on after a kill. */
static void audit_recovery(struct reader *self, uint32_t n)
{
    struct ledger *ledger = self->ledger;
    struct recovery *recovery = &ledger->recovery;
    uint64_t bytes = atomic_load_explicit(&ledger->auditor_bytes, memory_order_relaxed);
    uint64_t kill_ns = atomic_load_explicit(&recovery->kill_ns, memory_order_acquire);

    for (uint32_t i = 0; i < n; i++)
        bytes += (SOAK_RECORD_BYTES + self->events[i].len_bytes + 7u) & ~7u;
    atomic_store_explicit(&ledger->auditor_bytes, bytes, memory_order_relaxed);
    if (!kill_ns)
        return;
    if (!atomic_load(&recovery->first_ns) && self->events[n - 1].time_ns > kill_ns)
        atomic_store(&recovery->first_ns, jb_clock_now_ns() - kill_ns);
    if (atomic_load(&recovery->first_ns) && !atomic_load(&recovery->lap_ns) &&
        bytes - atomic_load(&recovery->kill_bytes) > 2 * ledger->capacity_bytes)
        atomic_store(&recovery->lap_ns, jb_clock_now_ns() - kill_ns);
}

/* Looks once more, and once more the same must be shown. */
static int peek_again(struct reader *self, int n)
{
    int n_again = jb_sub_peek(self->sub, self->again, self->n_max);

    if (n_again < n || memcmp(self->again, self->events, (size_t)n * sizeof *self->events) != 0) {
        reader_fail(self, "peek showed %d events, and then %d or others", n, n_again);
        return JB_ECORRUPT;
    }
    memcpy(self->events, self->again, (size_t)n_again * sizeof *self->events);
    return n_again;
}

/* An evictable reader's gate may be taken away while it looks; so it keeps copies, and looks at
 * them when it knows that it still had the gate. What is shown fits into a ring. */
static void keep_copies(struct reader *self, int n)
{
    size_t used = 0;

    for (int i = 0; i < n; i++) {
        jb_event *event = &self->events[i];
        uint8_t *copy = self->copies + used;

        if (event->len_bytes > self->ledger->capacity_bytes - used)
            event->len_bytes = 0; /* torn, as advance will say */
        memcpy(copy, event->payload, event->len_bytes);
        event->payload = copy;
        used += event->len_bytes;
    }
}

/* Takes the first n from the bus: n, 0 when it was evicted, or -1. */
static int advance(struct reader *self, int n, bool is_all)
{
    int rc = is_all ? jb_sub_advance(self->sub) : jb_sub_advance_n(self->sub, (uint32_t)n);

    if (rc == JB_EEVICTED && self->role->evict_after_ns)
        return 0;
    if (rc)
        reader_fail(self, "jb_sub_advance: %s", jb_err_name(rc));
    return rc ? -1 : n;
}

static bool enter_all(struct reader *self, int n)
{
    struct reader_row *row = self->row;
    uint64_t turn = atomic_load_explicit(&row->turn, memory_order_relaxed);
    struct account *account = &row->accounts[(turn + 1) & 1];

    *account = row->accounts[turn & 1];
    for (int i = 0; i < n; i++)
        if (!witness_enter(&self->witness, &self->events[i], account))
            return false;
    atomic_store_explicit(&row->turn, turn + 1, memory_order_release);
    if (self->role->is_auditor)
        audit_recovery(self, (uint32_t)n);
    return true;
}

/* What is shown now. How many, or -1 after ledger_fail(). */
static int glance(struct reader *self)
{
    int n = jb_sub_peek(self->sub, self->events, self->n_max);

    /* One that was shown already is not replaced. */
    if (n > 0 && role_conflates(self->role) && self->is_fresh &&
        !witness_glance(&self->witness, self->events, n))
        return -1;
    self->is_fresh = n <= 0;
    if (n > 0 && !self->role->evict_after_ns &&
        soak_below(&self->random, role_conflates(self->role) ? 4 : 64) == 0)
        n = peek_again(self, n);
    if (n < 0)
        reader_fail(self, "jb_sub_peek: %s", jb_err_name(n));
    if (n > 0 && !self->has_begun && !self->role->is_high_first && !role_conflates(self->role) &&
        !reader_begin(self))
        return -1;
    return n < 0 ? -1 : n;
}

/* Takes the first ones first and looks at copies of them then. */
static int take_copies(struct reader *self, int n_taken, bool is_all)
{
    keep_copies(self, n_taken);
    n_taken = advance(self, n_taken, is_all);
    if (n_taken <= 0)
        return n_taken;
    if (!self->has_begun && !reader_begin_late(self, n_taken))
        return -1;
    return enter_all(self, n_taken) ? n_taken : -1;
}

/* One batch. How many were shown, or -1 after ledger_fail(). */
static int take_batch(struct reader *self)
{
    bool is_late = role_conflates(self->role) && !self->has_begun;
    int n = glance(self), n_taken, rc;

    if (n <= 0 || (is_late && n == 1))
        return n;
    if (soak_below(&self->random, 64) == 0)
        actor_nap_us(soak_below(&self->random, 2000)); /* what is shown stays as it is */
    n_taken = soak_below(&self->random, 8) ? n : 1 + (int)soak_below(&self->random, (uint64_t)n);
    if (is_late && n_taken == n)
        n_taken--;
    if (self->role->evict_after_ns || is_late)
        rc = take_copies(self, n_taken, n_taken == n);
    else
        rc = enter_all(self, n_taken) ? advance(self, n_taken, n_taken == n) : -1;
    self->is_fresh = true;
    if (rc > 0 && n_taken < n && !self->role->is_high_first && !reader_check_fates(self))
        return -1;
    return rc < 0 ? -1 : n;
}

/* Nothing to read: waits, and answers the director's calls. */
static int rest(struct reader *self, uint32_t calls)
{
    int rc = 0;

    if (witness_has_closed(&self->witness)) {
        atomic_store(&self->row->phase, READER_DRAINED);
        atomic_store(&self->row->calls, calls);
        actor_nap_us(500);
    } else if (self->sleeps) {
        rc = jb_sub_wait(self->sub, soak_below(&self->random, self->wait_most_ns));
    } else {
        sched_yield();
    }
    if (rc < 0)
        reader_fail(self, "jb_sub_wait: %s", jb_err_name(rc));
    return rc < 0;
}

static int run(struct reader *self, uint32_t n_batches)
{
    while (n_batches-- && !atomic_load_explicit(&self->row->wants_end, memory_order_relaxed) &&
           !atomic_load_explicit(&self->ledger->final, memory_order_relaxed)) {
        uint32_t calls = atomic_load(&self->ledger->calls);
        int n = take_batch(self);

        if (n < 0 || (n == 0 && rest(self, calls) != 0))
            return 1;
        if (self->role->nap_us && soak_below(&self->random, 32) == 0)
            actor_nap_us(soak_below(&self->random, self->role->nap_us));
    }
    return 0;
}

/* The subscription's own counters against the account; and, when it has drained, nothing more is
 * there and the cursor stands where everything ends. */
static int leave(struct reader *self)
{
    struct account account;
    jb_sub_stats stats;
    bool is_drained = atomic_load(&self->row->phase) == READER_DRAINED;
    int n = is_drained ? jb_sub_peek(self->sub, self->events, 1) : 0;

    if (n != 0) {
        reader_fail(self, "peek at the end: %d", n);
        return 1;
    }
    if (!reader_stats(self, &stats))
        return 1;
    ledger_account(self->row, &account);
    if (role_wants_all(self->role) && stats.n_filtered) {
        reader_fail(self, "wants all, and has passed over %lu as unwanted", ul(stats.n_filtered));
        return 1;
    }
    if (stats.n_delivered != account.n_events || stats.n_missed < account.n_missed) {
        reader_fail(self, "took %lu events and was told of %lu missed; statistics: %lu and %lu",
                    ul(account.n_events), ul(account.n_missed), ul(stats.n_delivered),
                    ul(stats.n_missed));
        return 1;
    }
    if (is_drained) {
        self->row->n_missed_total = stats.n_missed;
        self->row->n_conflated_total = stats.n_conflated;
        self->row->final_sequence = account_start(&account) + stats.n_delivered + stats.n_filtered +
                                    stats.n_missed + stats.n_conflated;
        if (role_conflates(self->role) &&
            !witness_has_newest(&self->witness, &account, stats.n_missed - account.n_missed))
            return 1;
        atomic_store(&self->row->phase, READER_DRAINED);
    }
    return 0;
}

/* The bus's own sums, when nobody changes them any more. */
static int audit_bus(struct reader *self)
{
    jb_bus_stats stats = {.size = sizeof stats};
    int rc = jb_bus_get_stats(self->bus, &stats);

    if (rc)
        reader_fail(self, "jb_bus_get_stats: %s", jb_err_name(rc));
    self->ledger->bus_published = stats.n_published;
    self->ledger->bus_aborted = stats.n_aborted;
    return rc != 0;
}

static int subscribe(struct reader *self)
{
    const char *const *patterns = self->role->patterns;
    jb_sub_opts opts;
    jb_error err;
    int rc;

    jb_sub_opts_init(&opts, sizeof opts);
    jb_error_init(&err);
    opts.policy = self->role->policy;
    opts.start = self->role->start;
    opts.flags = self->role->is_high_first ? JB_SUB_HIGH_FIRST : 0;
    opts.name = self->role->name;
    opts.wait = (uint32_t)soak_below(&self->random, 3);
    opts.evict_after_ns = self->role->evict_after_ns >> soak_below(&self->random, 6);
    self->wait_most_ns = opts.wait == JB_WAIT_BUSY ? 1000000 : 100000000;
    rc = jb_bus_subscribe(self->bus, patterns[0], strlen(patterns[0]), &opts, &self->sub, &err);
    if (!rc && patterns[1])
        rc = jb_sub_add(self->sub, patterns[1], strlen(patterns[1]));
    if (rc) {
        reader_fail(self, "subscribe: %s: %s", jb_err_name(rc), err.msg);
        return 1;
    }
    for (uint32_t p = 0; p < SOAK_PRODUCERS; p++)
        self->row->about_at_start[p] = atomic_load(&self->ledger->producers[p].about);
    atomic_store(&self->row->phase, READER_READY);
    return 0;
}

/* One subscription, for n_batches or until the end. */
static int visit(struct reader *self, uint32_t n_batches)
{
    static const uint32_t batches[] = {1, 3, 16, 256, BATCH_MAX};
    int rc;

    self->n_max = batches[soak_below(&self->random, sizeof batches / sizeof batches[0])];
    /* See reader_begin_late(). */
    self->n_max += role_conflates(self->role) && self->n_max == 1;
    self->is_fresh = true;
    self->sleeps = soak_below(&self->random, 4) != 0;
    rc = subscribe(self);
    if (!rc)
        rc = run(self, n_batches);
    if (!rc)
        rc = leave(self);
    jb_sub_close(self->sub);
    self->sub = NULL;
    return rc;
}

/* Forget the last visit. First the step that makes the row void, in case we die here. */
static void visit_anew(struct reader *self)
{
    atomic_store(&self->row->turn, 0);
    atomic_store(&self->row->phase, READER_STARTING);
    memset(self->row->accounts, 0, sizeof self->row->accounts);
    witness_begin(&self->witness, self->ledger, self->role, self->row, self->bus);
    self->has_begun = false;
}

/* A brief one comes many times, and does not come again when all end. */
static int visits(struct reader *self)
{
    int rc = 0;

    while (self->role->is_brief && !rc && !atomic_load(&self->ledger->stop) &&
           !atomic_load(&self->row->wants_end)) {
        rc = visit(self, (uint32_t)soak_below(&self->random, 4));
        if (!rc)
            visit_anew(self);
    }
    if (!rc && !atomic_load(&self->row->wants_end))
        rc = visit(self, UINT32_MAX);
    return rc;
}

int reader_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed)
{
    struct reader *self = calloc(1, sizeof *self);
    int rc = 1;

    if (!self)
        return 1;
    self->ledger = ledger;
    self->role = role;
    self->row = &ledger->readers[row];
    self->random = seed;
    self->events = malloc(2 * BATCH_MAX * sizeof *self->events);
    self->again = self->events + BATCH_MAX;
    self->copies = malloc(ledger->capacity_bytes);
    self->bus = actor_open_bus(ledger, role);
    witness_begin(&self->witness, ledger, role, self->row, self->bus);
    if (self->bus && self->events && self->copies)
        rc = visits(self);
    if (!rc && role->is_auditor)
        rc = audit_bus(self);
    jb_bus_close(self->bus);
    free(self->copies);
    free(self->events);
    free(self);
    return rc;
}
