/*
 * ledger.h: the books that producers and readers keep beside the bus, in memory that survives them.
 *
 * Invariants, each of which holds whenever a process is killed:
 *  - A producer writes `about` before it publishes and `done` after, so what is in doubt about a
 *    dead one is the numbers in (done, about] and no other.
 *  - A reader has two accounts and writes the one that is not current, then steps `turn`; so the
 *    current one is always whole.
 *  - The order is a word for each sequence number, written by whoever reads that number first and
 *    never changed; everyone else who reads it must find what he read. Counts of it at every
 *    SOAK_SNAP_EVERY numbers, made by the auditor, tell how many events of each producer and topic
 *    lie before any number.
 */
#ifndef SOAK_LEDGER_H
#define SOAK_LEDGER_H

#include "recipe.h"

#include <stdatomic.h>
#include <sys/types.h>

enum { SOAK_READERS = 32, SOAK_SNAP_EVERY = 4096, SOAK_DOUBTS = 16384 };

/* Events of high priority, and others: one who reads the first ahead has two orders. */
enum { LANE_REST, LANE_HIGH, SOAK_LANES };

/* Events of each lane, producer and topic. */
struct tally {
    uint64_t n[SOAK_LANES][SOAK_PRODUCERS][SOAK_TOPICS];
};

/* What one reader has taken so far. */
struct account {
    /* Of each lane; the same for both, unless it reads the high ones ahead. */
    uint64_t start_sequence[SOAK_LANES]; /* it began behind this one; of a lane, before its first */
    uint64_t last_sequence[SOAK_LANES];
    uint64_t n_events;
    uint64_t n_bytes;
    uint64_t n_missed; /* as the events said */
    struct tally got;
};

enum talk { TALK_NONE, TALK_ASKS, TALK_ANSWERS };

struct producer_row {
    _Atomic uint64_t about;
    _Atomic uint64_t done;
    _Atomic uint64_t n_full;    /* JB_EAGAIN answers */
    _Atomic uint64_t n_given;   /* claims given back */
    _Atomic uint64_t n_revoked; /* claims taken away, for standing too long */
    _Atomic uint32_t is_dying;  /* it is about to kill itself */
    _Atomic uint32_t talks;     /* enum talk: its numbers are not of a producer's events */
    _Atomic uint32_t wants_end; /* the director asks it to close and leave */
};

enum reader_phase { READER_STARTING, READER_READY, READER_DRAINED };

struct reader_row {
    _Atomic uint64_t turn; /* accounts[turn & 1] is whole */
    struct account accounts[2];
    /* Set once in a life, before the first step of `turn`. */
    uint64_t about_at_start[SOAK_PRODUCERS]; /* `about` of each when the subscription stood */
    uint64_t final_sequence;                 /* where its cursor was when it had drained */
    uint64_t n_missed_total;                 /* as its statistics said then */
    uint64_t n_conflated_total;
    _Atomic uint32_t phase;    /* enum reader_phase */
    _Atomic uint32_t is_dying; /* it is about to kill itself */
    _Atomic uint32_t calls;    /* the last of `calls` after which it found nothing more to read */
    _Atomic uint32_t wants_end;
};

/* Numbers of one producer of which nobody knows whether they were published. */
struct doubt {
    uint64_t first;
    uint64_t last;
};

/* Everyone else has gone on after a kill when the auditor has read an event published after it, and
 * then two rings more: so no byte the victim held is still held. */
struct recovery {
    _Atomic uint64_t kill_ns; /* 0: nothing is awaited */
    _Atomic uint64_t kill_bytes;
    _Atomic uint64_t first_ns; /* after so long: the first new event */
    _Atomic uint64_t lap_ns;   /* after so long: two rings */
};

/* The part of a consumer group: crew.h. By place among the readers. */
struct crew {
    _Atomic uint32_t *fates;               /* a word for each sequence number */
    _Atomic uint32_t lives[SOAK_READERS];  /* the one that this place is in */
    _Atomic uint32_t joined[SOAK_READERS]; /* the same, while it is a worker of the group */
    _Atomic uint32_t doomed[SOAK_READERS]; /* the last one that was killed */
    _Atomic uint64_t n_gaps;               /* the group had no worker */
    _Atomic uint32_t n_closed;
    jb_group_stats stats; /* at the end */
};

struct ledger {
    struct recipe recipe;
    uint64_t capacity_bytes;
    uint64_t max_events;     /* places in `order` */
    uint64_t stall_after_ns; /* of the bus */
    uint32_t slow; /* how many times longer than usual one waits before calling it a hang */
    char bus_name[32];

    _Atomic uint32_t go;   /* the auditor is there: begin */
    _Atomic uint32_t stop; /* producers finish */
    _Atomic uint32_t
        calls; /* the closer is gone, and the director asks who has nothing more to read */
    _Atomic uint32_t final; /* nobody has: leave */
    _Atomic uint32_t failed;
    char failure[1024];

    struct recovery recovery;
    _Atomic uint64_t auditor_bytes; /* bytes of records it has read */
    uint64_t
        last_of[SOAK_TOPIC_KEYS]; /* sequence of the newest event that the auditor read of each */
    uint64_t n_holes[SOAK_PRODUCERS]; /* doubtful numbers that the auditor found missing */
    uint64_t bus_published;           /* the bus's own counter, at the end */
    uint64_t bus_aborted;
    _Atomic uint64_t n_replied; /* requests, as their askers balanced them */
    _Atomic uint64_t n_timed_out;
    _Atomic uint64_t n_late; /* and replies for which it was too late */

    struct producer_row producers[SOAK_PRODUCERS];
    struct reader_row readers[SOAK_READERS];
    _Atomic uint32_t n_doubts[SOAK_PRODUCERS];
    struct doubt doubts[SOAK_PRODUCERS][SOAK_DOUBTS];

    struct crew crew;
    _Atomic uint16_t *order;
    struct tally *snaps;
};

/* A ledger in memory that children share. NULL when there is none to be had. */
struct ledger *ledger_create(uint64_t max_events);
void ledger_destroy(struct ledger *ledger);

static inline uint64_t account_last(const struct account *account)
{
    const uint64_t *last = account->last_sequence;

    return last[LANE_HIGH] > last[LANE_REST] ? last[LANE_HIGH] : last[LANE_REST];
}

/* Whoever reads ahead and wants all began just before the first event of either lane. */
static inline uint64_t account_start(const struct account *account)
{
    const uint64_t *start = account->start_sequence, *last = account->last_sequence;

    if (last[LANE_HIGH] == 0 || last[LANE_REST] == 0)
        return start[last[LANE_HIGH] ? LANE_HIGH : LANE_REST];
    return start[start[LANE_HIGH] < start[LANE_REST] ? LANE_HIGH : LANE_REST];
}

/* Say what is wrong; the first one to do so is heard. */
__attribute__((format(printf, 2, 3))) void ledger_fail(struct ledger *ledger, const char *format,
                                                       ...);

/* Number `sequence` is that event: 0, or -1 when somebody has read another there. */
int ledger_order(struct ledger *ledger, uint64_t sequence, const struct soak_event *event);

/* How many events of each kind lie at or before `sequence`; the auditor must have been there. */
void ledger_tally(const struct ledger *ledger, uint64_t sequence, struct tally *ret_tally);

/* A copy of a reader's current account, whether it goes on meanwhile or not. False when it goes on
 * so fast that none could be had. */
bool ledger_account(const struct reader_row *row, struct account *ret_account);

/* Events of one producer from `first` to `last` were not read: true if each was in doubt after a
 * death, and every batch is either there or lacking as a whole. `hint` is where the caller found
 * doubts before. */
bool ledger_may_lack(const struct ledger *ledger, uint32_t producer, uint64_t first, uint64_t last,
                     uint32_t *hint);

#endif
