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
    uint64_t last_number[SOAK_PRODUCERS];
    uint32_t doubt_hint[SOAK_PRODUCERS];
    struct soak_event before; /* the event before, for the auditor */
    uint32_t closed_topics;   /* on which the closer's word has come */
};

#define witness_fail(self, format, ...)                                                            \
    ledger_fail((self)->ledger, "%s, reader %ld: " format, (self)->role->name,                     \
                (long)((self)->row - (self)->ledger->readers), __VA_ARGS__)

/* The next event that this reader takes. False after ledger_fail(). */
bool witness_enter(struct witness *witness, const jb_event *event, struct account *account);

/* Has the closer's word come on every topic it wants? */
static inline bool witness_has_closed(const struct witness *witness)
{
    return (witness->closed_topics & witness->role->wants) == witness->role->wants;
}

#endif
