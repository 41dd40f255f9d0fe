/*
 * crew.c: see crew.h.
 */
#include "crew.h"

/* An event's word: who holds it, in which life; how often it was given to somebody; what about its
 * acknowledgement. */
enum { HOLDER_MASK = 0xffff, DELIVERY = 1 << 16, ACKNOWLEDGING = 1 << 24, ACKNOWLEDGED = 1 << 25 };

static unsigned long ul(uint64_t n)
{
    return (unsigned long)n;
}

static uint32_t holder(uint32_t row, uint32_t life)
{
    return (row + 1) << 8 | (life & 0xff);
}

static uint32_t deliveries_of(uint32_t word)
{
    return word >> 16 & 0xff;
}

void crew_start(struct ledger *ledger, uint32_t row, uint32_t life)
{
    atomic_store(&ledger->crew.joined[row], 0);
    atomic_store(&ledger->crew.lives[row], life);
}

static void look_for_others(struct ledger *ledger)
{
    struct crew *crew = &ledger->crew;

    for (uint32_t i = 0; i < SOAK_READERS; i++) {
        uint32_t life = atomic_load(&crew->joined[i]);

        if (life && life != atomic_load(&crew->doomed[i]))
            return;
    }
    atomic_fetch_add(&crew->n_gaps, 1);
}

void crew_join(struct ledger *ledger, uint32_t row)
{
    atomic_store(&ledger->crew.joined[row], atomic_load(&ledger->crew.lives[row]));
}

void crew_leave(struct ledger *ledger, uint32_t row)
{
    atomic_store(&ledger->crew.joined[row], 0);
    /* In the end all go. */
    if (!atomic_load(&ledger->final))
        look_for_others(ledger);
}

void crew_doom(struct ledger *ledger, uint32_t row)
{
    atomic_store(&ledger->crew.doomed[row], atomic_load(&ledger->crew.lives[row]));
    look_for_others(ledger);
}

/* May it have been taken from him? */
static bool is_gone(struct ledger *ledger, uint32_t holder_word)
{
    uint32_t row = (holder_word >> 8) - 1;

    return row >= SOAK_READERS ||
           (atomic_load(&ledger->crew.lives[row]) & 0xff) != (holder_word & 0xff) ||
           (atomic_load(&ledger->crew.doomed[row]) & 0xff) == (holder_word & 0xff);
}

bool crew_hold(struct ledger *ledger, uint32_t row, const jb_event *event)
{
    _Atomic uint32_t *fate = &ledger->crew.fates[event->sequence];
    uint32_t before = atomic_load(fate), n = deliveries_of(before), other = before & HOLDER_MASK;
    uint32_t now = holder(row, atomic_load(&ledger->crew.lives[row])) | (n < 0xff ? n + 1 : n)
                                                                            << 16;

    /* One who died between the taking and the writing down is not in our count. */
    if (before & ACKNOWLEDGED)
        ledger_fail(ledger, "worker %u: event %lu, delivery %u: it was acknowledged", row,
                    ul(event->sequence), event->n_deliveries);
    else if (event->n_deliveries <= n)
        ledger_fail(ledger, "worker %u: event %lu is said to be delivery %u, and %u were before",
                    row, ul(event->sequence), event->n_deliveries, n);
    else if (other && !is_gone(ledger, other))
        ledger_fail(ledger, "worker %u: event %lu, delivery %u: worker %u lives and has it", row,
                    ul(event->sequence), event->n_deliveries, (other >> 8) - 1);
    else if (!atomic_compare_exchange_strong(fate, &before, now))
        ledger_fail(ledger, "worker %u: event %lu was given to somebody else just now", row,
                    ul(event->sequence));
    else
        return true;
    return false;
}

void crew_acknowledging(struct ledger *ledger, uint64_t sequence)
{
    atomic_fetch_or(&ledger->crew.fates[sequence], ACKNOWLEDGING);
}

void crew_acknowledged(struct ledger *ledger, uint64_t sequence)
{
    atomic_fetch_or(&ledger->crew.fates[sequence], ACKNOWLEDGED);
}

void crew_give_back(struct ledger *ledger, uint64_t sequence)
{
    atomic_fetch_and(&ledger->crew.fates[sequence], ~(uint32_t)HOLDER_MASK);
}

void crew_close(struct ledger *ledger, const jb_group_stats *stats)
{
    if (atomic_fetch_add(&ledger->crew.n_closed, 1) == 0)
        ledger->crew.stats = *stats;
}

int crew_balance(struct ledger *ledger, uint64_t end)
{
    const jb_group_stats *stats = &ledger->crew.stats;
    uint64_t n_all = stats->n_delivered + stats->n_filtered + stats->n_missed;
    uint64_t n_acked = 0, n_doubtful = 0;

    if (!atomic_load(&ledger->crew.n_closed) || stats->n_pending || stats->n_filtered ||
        n_all > end) {
        ledger_fail(ledger,
                    "the group has %u events pending, has passed over %lu as unwanted, and "
                    "has seen %lu of %lu",
                    stats->n_pending, ul(stats->n_filtered), ul(n_all), ul(end));
        return -1;
    }
    for (uint64_t sequence = 1; sequence <= end; sequence++) {
        uint32_t word = atomic_load_explicit(&ledger->crew.fates[sequence], memory_order_relaxed);

        if (word && sequence <= end - n_all) {
            ledger_fail(ledger, "the group has given out event %lu, and begins behind event %lu",
                        ul(sequence), ul(end - n_all));
            return -1;
        }
        n_acked += !!(word & ACKNOWLEDGED);
        n_doubtful += (word & (ACKNOWLEDGED | ACKNOWLEDGING)) == ACKNOWLEDGING;
    }
    if (stats->n_acked < n_acked || stats->n_acked > n_acked + n_doubtful ||
        (stats->n_acked != n_all && !atomic_load(&ledger->crew.n_gaps))) {
        ledger_fail(ledger,
                    "of events %lu to %lu the workers have acknowledged %lu, and %lu perhaps; the "
                    "group counts %lu, with %lu lost and %lu missed; %lu times it had no worker",
                    ul(end - n_all + 1), ul(end), ul(n_acked), ul(n_doubtful), ul(stats->n_acked),
                    ul(stats->n_lost), ul(stats->n_missed), ul(atomic_load(&ledger->crew.n_gaps)));
        return -1;
    }
    return 0;
}
