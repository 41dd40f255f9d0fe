/*
 * witness.h: what one reader has seen, and whether it may be so: content, place and order of each
 * event against its recipe, against what this reader saw before, and against what all others saw.
 *
 * Invariant: an event enters an account only when nothing is wrong with it.
 */
#ifndef SOAK_WITNESS_H
#define SOAK_WITNESS_H

#include "role.h"

enum { WITNESS_TOPIC_IDS = 64 };

struct witness {
    struct ledger *ledger;
    const struct role *role;
    const struct reader_row *row;
    jb_bus *bus;
    uint32_t topics[WITNESS_TOPIC_IDS + 1]; /* see topic_lookup(); 0 not looked up yet */
    uint64_t last_number[SOAK_LANES][SOAK_PRODUCERS];
    uint32_t doubt_hint[SOAK_PRODUCERS];
    struct soak_event before;            /* the event before, for the auditor */
    uint32_t closed_topics;              /* on which the closer's word has come */
    uint64_t last_of[SOAK_TOPIC_KEYS];   /* sequence of the last one shown */
    uint64_t last_behind_missed;         /* sequence of the last one that told of missed events */
    uint64_t in_glance[SOAK_TOPIC_KEYS]; /* the number of the last glance that showed one */
    uint64_t n_glances;
};

#define witness_fail(self, format, ...)                                                            \
    ledger_fail((self)->ledger, "%s, reader %ld: " format, (self)->role->name,                     \
                (long)((self)->row - (self)->ledger->readers), __VA_ARGS__)

static inline void witness_begin(struct witness *witness, struct ledger *ledger,
                                 const struct role *role, const struct reader_row *row, jb_bus *bus)
{
    *witness = (struct witness){.ledger = ledger, .role = role, .row = row, .bus = bus};
}

/* The next event that this reader takes. False after ledger_fail(). */
bool witness_enter(struct witness *witness, const jb_event *event, struct account *account);

/* Is this event what its recipe says, and the one that all others see at its place? */
bool witness_is_sound(struct witness *witness, const jb_event *event);

/* What a conflating reader is shown at a glance, with nothing left from the one before: of each
 * topic and key no more than one. */
bool witness_glance(struct witness *witness, const jb_event *events, int n);

/* All is quiet and read: a conflating reader has seen the newest of each topic and key, unless it
 * was missed. n_missed: since the last event. */
bool witness_has_newest(struct witness *witness, const struct account *account, uint64_t n_missed);

/* Has the closer's word come on every topic it wants? */
static inline bool witness_has_closed(const struct witness *witness)
{
    return (witness->closed_topics & witness->role->wants) == witness->role->wants;
}

#endif
