/*
 * books.c: see books.h.
 *
 * For a reader: of every producer and topic it wants, what lies between its start and its last
 * event is what it got and what it missed; a lossless one missed nothing. For a producer: what the
 * auditor read is what the producer was told is published, and those of its doubtful numbers that
 * are there.
 */
#include "books.h"

#include "crew.h"

#include <stdlib.h>
#include <string.h>

static unsigned long ul(uint64_t n)
{
    return (unsigned long)n;
}

bool books_init(struct books *books)
{
    *books = (struct books){.pending = calloc(BOOKS_PENDING, sizeof *books->pending)};
    return books->pending != NULL;
}

void books_fini(struct books *books)
{
    free(books->pending);
    books->pending = NULL;
}

bool books_take(struct books *books, struct ledger *ledger, const struct role *role, uint32_t row,
                bool is_ended)
{
    const struct reader_row *from = &ledger->readers[row];
    struct life *life = &books->pending[books->n_pending];

    if (books->n_pending == BOOKS_PENDING || (!is_ended && books->n_pending > BOOKS_PENDING / 2)) {
        if (is_ended)
            ledger_fail(ledger, "%u readers' lives wait for the auditor", books->n_pending);
        return false;
    }
    if (atomic_load(&from->turn) == 0 || !ledger_account(from, &life->account)) {
        books->roles[role - soak_roles].n_lives += is_ended;
        return false;
    }
    life->role = role;
    life->row = row;
    life->is_ended = is_ended;
    life->is_drained = is_ended && atomic_load(&from->phase) == READER_DRAINED;
    life->final_sequence = from->final_sequence;
    life->n_missed_total = from->n_missed_total;
    life->n_conflated_total = from->n_conflated_total;
    for (uint32_t p = 0; p < SOAK_PRODUCERS; p++)
        life->about_at_start[p] = from->about_at_start[p];
    books->n_pending++;
    return true;
}

static uint64_t sum_of(const struct tally *tally, uint32_t producer)
{
    uint64_t sum = 0;

    for (uint32_t lane = 0; lane < SOAK_LANES; lane++)
        for (uint32_t t = 0; t < SOAK_TOPICS; t++)
            sum += tally->n[lane][producer][t];
    return sum;
}

static uint64_t both_lanes(const struct tally *tally, uint32_t producer, uint32_t topic)
{
    return tally->n[LANE_REST][producer][topic] + tally->n[LANE_HIGH][producer][topic];
}

/* What lies at or before these sequences, each lane's events up to its own. */
static void tally_lanes(const struct ledger *ledger, const uint64_t *sequences,
                        struct tally *ret_tally)
{
    struct tally high;

    ledger_tally(ledger, sequences[LANE_REST], ret_tally);
    if (sequences[LANE_HIGH] == sequences[LANE_REST])
        return;
    ledger_tally(ledger, sequences[LANE_HIGH], &high);
    memcpy(ret_tally->n[LANE_HIGH], high.n[LANE_HIGH], sizeof high.n[LANE_HIGH]);
}

/* Nothing that was published after the subscription stood may lie before its start. */
static int check_start(struct ledger *ledger, const struct life *life, const struct tally *from)
{
    for (uint32_t p = 0; p < SOAK_SYSTEM; p++)
        if (sum_of(from, p) > life->about_at_start[p]) {
            ledger_fail(ledger,
                        "%s, reader %u: begins behind event %lu, before which lie %lu events of "
                        "producer %u; when it had subscribed there were %lu at most",
                        life->role->name, life->row, ul(account_start(&life->account)),
                        ul(sum_of(from, p)), p, ul(life->about_at_start[p]));
            return -1;
        }
    return 0;
}

struct span {
    uint64_t n_wanted; /* events on topics it wants */
    uint64_t n_other;
    uint64_t n_lacking; /* wanted, and it does not have them */
};

/* It has, of each lane, producer and topic, no more than there is. */
static int measure(struct ledger *ledger, const struct life *life, struct span *ret_span)
{
    const struct account *account = &life->account;
    struct tally from, to;

    tally_lanes(ledger, account->start_sequence, &from);
    tally_lanes(ledger, account->last_sequence, &to);
    *ret_span = (struct span){0};
    if (check_start(ledger, life, &from) != 0)
        return -1;
    for (uint32_t i = 0; i < SOAK_LANES * SOAK_PRODUCERS * SOAK_TOPICS; i++) {
        uint32_t t = i % SOAK_TOPICS, p = i / SOAK_TOPICS % SOAK_PRODUCERS;
        uint32_t lane = i / SOAK_TOPICS / SOAK_PRODUCERS;
        uint64_t there = to.n[lane][p][t] - from.n[lane][p][t];
        uint64_t got = account->got.n[lane][p][t];
        bool wants = role_wants(life->role, p, t);

        if (got > (wants ? there : 0) || (!role_may_miss(life->role) && wants && got != there)) {
            ledger_fail(ledger,
                        "%s, reader %u: has %lu events of producer %u on %s out of (%lu, %lu], "
                        "where there are %lu",
                        life->role->name, life->row, ul(got), p, soak_topic_name(p, t),
                        ul(account->start_sequence[lane]), ul(account->last_sequence[lane]),
                        ul(there));
            return -1;
        }
        ret_span->n_wanted += wants ? there : 0;
        ret_span->n_other += wants ? 0 : there;
        ret_span->n_lacking += wants ? there - got : 0;
    }
    return 0;
}

static int balance(struct books *books, struct ledger *ledger, const struct life *life,
                   uint64_t end)
{
    struct role_total *total = &books->roles[life->role - soak_roles];
    const struct account *account = &life->account;
    struct span span;

    if (measure(ledger, life, &span) != 0)
        return -1;
    /* Missed are the wanted ones it lacks, unless newer ones have replaced them, and of the others
     * those that were overwritten too. */
    if ((account->n_missed < span.n_lacking && !role_conflates(life->role)) ||
        account->n_missed > span.n_lacking + span.n_other) {
        ledger_fail(ledger,
                    "%s, reader %u: lacks %lu events out of (%lu, %lu] and was told of %lu missed, "
                    "with %lu on other topics",
                    life->role->name, life->row, ul(span.n_lacking), ul(account_start(account)),
                    ul(account_last(account)), ul(account->n_missed), ul(span.n_other));
        return -1;
    }
    if (life->is_drained &&
        (life->final_sequence != end ||
         life->n_missed_total - account->n_missed > end - account_last(account))) {
        ledger_fail(ledger,
                    "%s, reader %u: drained up to event %lu with %lu missed (%lu told), and the "
                    "last is %lu",
                    life->role->name, life->row, ul(life->final_sequence), ul(life->n_missed_total),
                    ul(account->n_missed), ul(end));
        return -1;
    }
    if (life->is_drained && life->n_missed_total + life->n_conflated_total < span.n_lacking) {
        ledger_fail(ledger, "%s, reader %u: lacks %lu events, missed %lu and was spared %lu",
                    life->role->name, life->row, ul(span.n_lacking), ul(life->n_missed_total),
                    ul(life->n_conflated_total));
        return -1;
    }
    books->n_balanced++;
    if (!life->is_ended)
        return 0;
    total->n_lives++;
    total->n_events += account->n_events;
    total->n_bytes += account->n_bytes;
    total->n_missed += account->n_missed;
    total->n_passed_over += span.n_wanted + span.n_other - account->n_events - account->n_missed;
    return 0;
}

int books_settle(struct books *books, struct ledger *ledger)
{
    struct account auditor;

    if (!ledger_account(&ledger->readers[0], &auditor))
        return 0;
    for (uint32_t i = 0; i < books->n_pending;) {
        struct life *life = &books->pending[i];

        if (account_last(&life->account) > account_last(&auditor) ||
            (life->is_drained && life->final_sequence > account_last(&auditor))) {
            i++;
            continue;
        }
        if (balance(books, ledger, life, account_last(&auditor)) != 0)
            return -1;
        *life = books->pending[--books->n_pending];
    }
    return 0;
}

static uint64_t doubted_of(const struct ledger *ledger, uint32_t producer)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < atomic_load(&ledger->n_doubts[producer]); i++)
        n += ledger->doubts[producer][i].last - ledger->doubts[producer][i].first + 1;
    return n;
}

/* What it was told is published was read, and of the rest all numbers that are lacking were in
 * doubt: those between others the auditor has looked at, those behind the last are left. */
static int close_producer(struct books *books, struct ledger *ledger, const struct tally *all,
                          uint32_t producer)
{
    const struct producer_row *row = &ledger->producers[producer];
    uint64_t about = atomic_load(&row->about), n_there = sum_of(all, producer),
             n_doubted = doubted_of(ledger, producer);
    uint64_t last = n_there + ledger->n_holes[producer];
    uint32_t hint = 0;

    if (!ledger_may_lack(ledger, producer, last + 1, about, &hint)) {
        ledger_fail(ledger,
                    "producer %u: of numbers %lu to %lu some are published and none was read",
                    producer, ul(last + 1), ul(about));
        return -1;
    }
    if (last > about || n_there < about - n_doubted) {
        ledger_fail(ledger,
                    "producer %u began to publish %lu events, %lu of them in doubt, and %lu were "
                    "read",
                    producer, ul(about), ul(n_doubted), ul(n_there));
        return -1;
    }
    books->n_doubted += n_doubted;
    books->n_doubts_published += n_there - (about - n_doubted);
    return 0;
}

/* Questions, or answers: as many were read as all who publish them know of, and some in doubt. */
static int close_talk(struct books *books, struct ledger *ledger, enum talk talk, uint64_t n_read)
{
    uint64_t n_about = 0, n_doubted = 0;

    for (uint32_t p = 0; p < SOAK_SYSTEM; p++)
        if (atomic_load(&ledger->producers[p].talks) == talk) {
            n_about += atomic_load(&ledger->producers[p].about);
            n_doubted += doubted_of(ledger, p);
        }
    if (n_read > n_about || n_read < n_about - n_doubted) {
        ledger_fail(ledger, "%lu %s were begun, %lu are in doubt, and %lu were read", ul(n_about),
                    talk == TALK_ASKS ? "questions" : "answers", ul(n_doubted), ul(n_read));
        return -1;
    }
    books->n_doubted += n_doubted;
    books->n_doubts_published += n_read - (n_about - n_doubted);
    return 0;
}

/* The bus tells of no more than there was. */
static int close_notices(struct books *books, struct ledger *ledger, const struct tally *all,
                         uint64_t n_kills)
{
    const uint64_t *n = all->n[LANE_HIGH][SOAK_SYSTEM];

    if (n[0] > n_kills || n[2] > n_kills || (n[1] && !ledger->stall_after_ns)) {
        ledger_fail(ledger,
                    "the bus tells of %lu orphans, %lu revoked claims, %lu dead readers; %lu kills",
                    ul(n[0]), ul(n[1]), ul(n[2]), ul(n_kills));
        return -1;
    }
    for (uint32_t t = 0; t < SOAK_NOTICES; t++)
        books->n_notices[t] += n[t];
    return 0;
}

int books_close(struct books *books, struct ledger *ledger, uint64_t n_kills)
{
    const struct account *auditor = &ledger->readers[0].accounts[ledger->readers[0].turn & 1];
    uint64_t n_read = auditor->n_events, n_counted = ledger->bus_published, n_doubted;
    struct tally all;

    if (books_settle(books, ledger) != 0)
        return -1;
    if (books->n_pending) {
        ledger_fail(ledger, "a %s has read event %lu, and the auditor has not",
                    books->pending[0].role->name, ul(account_last(&books->pending[0].account)));
        return -1;
    }
    ledger_tally(ledger, account_last(auditor), &all);
    n_doubted = books->n_doubted;
    for (uint32_t p = 0; p < SOAK_SYSTEM; p++)
        if (!atomic_load(&ledger->producers[p].talks) &&
            close_producer(books, ledger, &all, p) != 0)
            return -1;
    if (close_talk(books, ledger, TALK_ASKS, both_lanes(&all, SOAK_SYSTEM, SOAK_QUESTION)) != 0 ||
        close_talk(books, ledger, TALK_ANSWERS, both_lanes(&all, SOAK_SYSTEM, SOAK_ANSWER)) != 0 ||
        close_notices(books, ledger, &all, n_kills) != 0)
        return -1;
    if (crew_balance(ledger, account_last(auditor)) != 0)
        return -1;
    books->group.n_acked += ledger->crew.stats.n_acked;
    books->group.n_redelivered += ledger->crew.stats.n_redelivered;
    books->group.n_lost += ledger->crew.stats.n_lost;
    books->group.n_missed += ledger->crew.stats.n_missed;
    books->n_gaps += atomic_load(&ledger->crew.n_gaps);
    n_doubted = books->n_doubted - n_doubted;
    /* Whoever is killed between committing and counting leaves the counter behind. */
    if (n_counted > n_read || n_read - n_counted > n_doubted + n_kills) {
        ledger_fail(ledger, "the bus counts %lu events published, and %lu were read; %lu kills",
                    ul(n_counted), ul(n_read), ul(n_kills));
        return -1;
    }
    books->n_replied += atomic_load(&ledger->n_replied);
    books->n_timed_out += atomic_load(&ledger->n_timed_out);
    books->n_late += atomic_load(&ledger->n_late);
    books->n_published += n_read;
    books->n_bytes += auditor->n_bytes;
    books->n_laps += atomic_load(&ledger->auditor_bytes) / ledger->capacity_bytes;
    books->n_aborted += ledger->bus_aborted;
    return 0;
}
