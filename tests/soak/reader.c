/*
 * reader.c: the life of a reader.
 *
 * Invariant: what it has taken is in its row of the ledger, whole, at any instruction: a batch is
 * checked and written into the account that is not current, which then becomes current, and only
 * then is it taken from the bus.
 */
#include "role.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 4096, TOPIC_IDS = 64 };

struct reader {
    struct ledger *ledger;
    const struct role *role;
    struct reader_row *row;
    uint64_t random;
    jb_bus *bus;
    jb_sub *sub;
    uint32_t n_max;                 /* events to look at in one go */
    bool sleeps;                    /* waits in the kernel, or asks again and again */
    uint32_t topics[TOPIC_IDS + 1]; /* 1 + topic of an id; 0 not looked up yet */
    uint64_t last_number[SOAK_PRODUCERS];
    uint32_t doubt_hint[SOAK_PRODUCERS];
    uint32_t closed_topics; /* on which the closer's word has come */
    jb_event *events;
    jb_event *again;
};

#define reader_fail(self, format, ...)                                                             \
    ledger_fail((self)->ledger, "%s, reader %ld: " format, (self)->role->name,                     \
                (long)((self)->row - (self)->ledger->readers), __VA_ARGS__)

static unsigned long ul(uint64_t n)
{
    return (unsigned long)n;
}

static bool stats_of(struct reader *self, jb_sub_stats *ret_stats)
{
    int rc;

    ret_stats->size = sizeof *ret_stats;
    rc = jb_sub_get_stats(self->sub, ret_stats);
    if (rc)
        reader_fail(self, "jb_sub_get_stats: %s", jb_err_name(rc));
    return rc == 0;
}

static uint32_t topic_of_id(struct reader *self, uint32_t topic_id)
{
    const char *name;

    if (topic_id == 0 || topic_id > TOPIC_IDS)
        return SOAK_TOPICS;
    if (self->topics[topic_id])
        return self->topics[topic_id] - 1;
    if (jb_bus_topic_name(self->bus, topic_id, &name) < 0)
        return SOAK_TOPICS;
    for (uint32_t t = 0; t < SOAK_TOPICS; t++)
        if (strcmp(name, soak_topic_name(t)) == 0) {
            self->topics[topic_id] = t + 1;
            return t;
        }
    return SOAK_TOPICS;
}

/* The event must be what its producer's recipe says, to the last byte. */
static bool check_content(struct reader *self, const jb_event *event, struct soak_event *ret_is)
{
    uint32_t topic = topic_of_id(self, event->topic_id);
    unsigned long seq = ul(event->sequence);
    int64_t at;

    if (event->type < 1 || event->type > SOAK_PRODUCERS || !(event->source_time >= 1) ||
        event->source_time > 9e15 || event->publisher == 0 || event->flags) {
        reader_fail(self, "event %lu: impossible header: type %u, number %g, publisher %u", seq,
                    event->type, event->source_time, event->publisher);
        return false;
    }
    recipe_event(&self->ledger->recipe, event->type - 1u, (uint64_t)event->source_time, ret_is);
    if (topic != ret_is->topic || event->len_bytes != ret_is->len_bytes ||
        event->priority != ret_is->priority) {
        reader_fail(self,
                    "event %lu is number %lu of producer %u: topic %u, %u bytes, priority %u "
                    "instead of %u, %u, %u",
                    seq, ul(ret_is->number), ret_is->producer, topic, event->len_bytes,
                    event->priority, ret_is->topic, ret_is->len_bytes, ret_is->priority);
        return false;
    }
    at = recipe_compare(ret_is, event->payload);
    if (at >= 0)
        reader_fail(self, "event %lu, number %lu of producer %u, %u bytes: byte %ld is wrong", seq,
                    ul(ret_is->number), ret_is->producer, ret_is->len_bytes, (long)at);
    else if (!(self->role->wants & 1u << topic))
        reader_fail(self, "event %lu on %s, which it did not ask for", seq, soak_topic_name(topic));
    else
        return true;
    return false;
}

/* Its place: behind the last one, at a distance that n_missed explains, where all others saw it,
 * and behind what the same producer published before. */
static bool check_place(struct reader *self, const jb_event *event, const struct soak_event *is,
                        uint64_t before)
{
    unsigned long seq = ul(event->sequence);
    uint64_t gap = event->sequence - before - 1;
    bool is_exact = self->role->wants == (1u << SOAK_TOPICS) - 1;

    if (event->sequence <= before)
        reader_fail(self, "event %lu comes after event %lu", seq, ul(before));
    else if (is_exact ? gap != event->n_missed : gap < event->n_missed)
        reader_fail(self, "between events %lu and %lu lie %lu, but it was told of %lu missed",
                    ul(before), seq, ul(gap), ul(event->n_missed));
    else if (self->role->policy == JB_SUB_LOSSLESS && event->n_missed)
        reader_fail(self, "event %lu: a lossless subscription has missed %lu", seq,
                    ul(event->n_missed));
    else if (is->number <= self->last_number[is->producer])
        reader_fail(self, "event %lu: number %lu of producer %u after number %lu", seq,
                    ul(is->number), is->producer, ul(self->last_number[is->producer]));
    else if (ledger_order(self->ledger, event->sequence, is) != 0)
        reader_fail(self, "event %lu is number %lu of producer %u here, and another elsewhere", seq,
                    ul(is->number), is->producer);
    else
        return true;
    return false;
}

/* The auditor sees every number of every producer, but for those that a death left in doubt. */
static bool audit(struct reader *self, const struct soak_event *is, const struct account *account)
{
    struct ledger *ledger = self->ledger;

    for (uint64_t n = self->last_number[is->producer] + 1; n < is->number; n++) {
        if (!ledger_is_doubtful(ledger, is->producer, n, &self->doubt_hint[is->producer])) {
            reader_fail(self, "number %lu of producer %u was never read, and %lu is here", ul(n),
                        is->producer, ul(is->number));
            return false;
        }
        ledger->n_holes[is->producer]++;
    }
    if (account->last_sequence % SOAK_SNAP_EVERY == 0)
        ledger->snaps[account->last_sequence / SOAK_SNAP_EVERY] = account->got;
    if (account->last_sequence > ledger->max_events / 16 * 15)
        atomic_store(&ledger->stop, 1);
    return true;
}

static bool enter(struct reader *self, const jb_event *event, struct account *account)
{
    struct soak_event is;

    if (!check_content(self, event, &is) || !check_place(self, event, &is, account->last_sequence))
        return false;
    account->last_sequence = event->sequence;
    account->n_events++;
    account->n_bytes += event->len_bytes;
    account->n_missed += event->n_missed;
    account->got.n[is.producer][is.topic]++;
    if (self->role->is_auditor && !audit(self, &is, account))
        return false;
    self->last_number[is.producer] = is.number;
    if (is.producer == SOAK_CLOSER)
        self->closed_topics |= 1u << is.topic;
    return true;
}

/* For the director, who waits for everyone to go on after a kill. */
static void audit_recovery(struct reader *self, uint32_t n)
{
    struct ledger *ledger = self->ledger;
    struct recovery *recovery = &ledger->recovery;
    uint64_t bytes = atomic_load_explicit(&ledger->auditor_bytes, memory_order_relaxed);
    uint64_t kill_ns = atomic_load_explicit(&recovery->kill_ns, memory_order_acquire);

    for (uint32_t i = 0; i < n; i++)
        bytes += (SOAK_RECORD_BYTES + self->events[i].len_bytes + 63u) & ~63u;
    atomic_store_explicit(&ledger->auditor_bytes, bytes, memory_order_relaxed);
    if (!kill_ns)
        return;
    if (!atomic_load(&recovery->first_ns) && self->events[n - 1].time_ns > kill_ns)
        atomic_store(&recovery->first_ns, jb_clock_now_ns() - kill_ns);
    if (atomic_load(&recovery->first_ns) && !atomic_load(&recovery->lap_ns) &&
        bytes - atomic_load(&recovery->kill_bytes) > 2 * ledger->capacity_bytes)
        atomic_store(&recovery->lap_ns, jb_clock_now_ns() - kill_ns);
}

/* Where the subscription began, from the first event it shows: everything between was passed over
 * as unwanted or missed. */
static bool note_start(struct reader *self)
{
    const jb_event *first = &self->events[0];
    jb_sub_stats stats;
    uint64_t passed;

    if (!stats_of(self, &stats))
        return false;
    passed = stats.n_filtered + stats.n_missed;
    if (stats.n_delivered || passed >= first->sequence || stats.n_missed != first->n_missed) {
        reader_fail(self,
                    "first event %lu, missed %lu; statistics: %lu delivered, %lu filtered, "
                    "%lu missed",
                    ul(first->sequence), ul(first->n_missed), ul(stats.n_delivered),
                    ul(stats.n_filtered), ul(stats.n_missed));
        return false;
    }
    self->row->start_sequence = first->sequence - 1 - passed;
    if (self->role->is_auditor && self->row->start_sequence) {
        reader_fail(self, "begins behind event %lu", ul(self->row->start_sequence));
        return false;
    }
    self->row->accounts[0].last_sequence = self->row->start_sequence;
    self->row->accounts[1].last_sequence = self->row->start_sequence;
    return true;
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

/* One batch. How many were taken, or -1 after ledger_fail(). */
static int take_batch(struct reader *self)
{
    struct reader_row *row = self->row;
    uint64_t turn = atomic_load_explicit(&row->turn, memory_order_relaxed);
    struct account *account = &row->accounts[(turn + 1) & 1];
    int n = jb_sub_peek(self->sub, self->events, self->n_max), n_taken, rc;

    if (n > 0 && soak_below(&self->random, 64) == 0)
        n = peek_again(self, n);
    if (n < 0)
        reader_fail(self, "jb_sub_peek: %s", jb_err_name(n));
    if (n <= 0)
        return n;
    if (turn == 0 && !note_start(self))
        return -1;
    if (soak_below(&self->random, 64) == 0)
        actor_nap_us(soak_below(&self->random, 2000)); /* what is shown stays as it is */
    n_taken = soak_below(&self->random, 8) ? n : 1 + (int)soak_below(&self->random, (uint64_t)n);
    *account = row->accounts[turn & 1];
    for (int i = 0; i < n_taken; i++)
        if (!enter(self, &self->events[i], account))
            return -1;
    atomic_store_explicit(&row->turn, turn + 1, memory_order_release);
    if (self->role->is_auditor)
        audit_recovery(self, (uint32_t)n_taken);
    rc = n_taken == n ? jb_sub_advance(self->sub) : jb_sub_advance_n(self->sub, (uint32_t)n_taken);
    if (rc)
        reader_fail(self, "jb_sub_advance: %s", jb_err_name(rc));
    return rc ? -1 : n_taken;
}

static bool is_drained(const struct reader *self)
{
    return (self->closed_topics & self->role->wants) == self->role->wants;
}

static int run(struct reader *self)
{
    while (!is_drained(self) &&
           !atomic_load_explicit(&self->row->wants_end, memory_order_relaxed)) {
        int n = take_batch(self);

        if (n < 0)
            return 1;
        if (n == 0 && self->sleeps) {
            int rc = jb_sub_wait(self->sub, soak_below(&self->random, 100000000));

            if (rc < 0) {
                reader_fail(self, "jb_sub_wait: %s", jb_err_name(rc));
                return 1;
            }
        } else if (n == 0) {
            sched_yield();
        }
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
    int n = 0;

    if (is_drained(self)) {
        while (!atomic_load(&self->ledger->closed))
            actor_nap_us(1000);
        n = jb_sub_peek(self->sub, self->events, 1);
    }
    if (n != 0) {
        reader_fail(self, "peek at the end: %d", n);
        return 1;
    }
    if (!stats_of(self, &stats))
        return 1;
    ledger_account(self->row, &account);
    if (stats.n_delivered != account.n_events || stats.n_missed < account.n_missed) {
        reader_fail(self, "took %lu events and was told of %lu missed; statistics: %lu and %lu",
                    ul(account.n_events), ul(account.n_missed), ul(stats.n_delivered),
                    ul(stats.n_missed));
        return 1;
    }
    if (is_drained(self)) {
        self->row->n_missed_total = stats.n_missed;
        self->row->final_sequence =
            self->row->start_sequence + stats.n_delivered + stats.n_filtered + stats.n_missed;
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
    opts.name = self->role->name;
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

int reader_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed)
{
    static const uint32_t batches[] = {1, 3, 16, 256, BATCH_MAX};
    struct reader *self = calloc(1, sizeof *self);
    int rc = 1;

    if (!self)
        return 1;
    self->ledger = ledger;
    self->role = role;
    self->row = &ledger->readers[row];
    self->random = seed;
    self->n_max = batches[soak_below(&self->random, sizeof batches / sizeof batches[0])];
    self->sleeps = soak_below(&self->random, 4) != 0;
    self->events = malloc(2 * BATCH_MAX * sizeof *self->events);
    self->again = self->events + BATCH_MAX;
    self->bus = actor_open_bus(ledger, role);
    if (self->bus && self->events && subscribe(self) == 0) {
        rc = run(self);
        if (!rc)
            rc = leave(self);
        if (!rc && role->is_auditor)
            rc = audit_bus(self);
    }
    jb_sub_close(self->sub);
    jb_bus_close(self->bus);
    free(self->events);
    free(self);
    return rc;
}
