/*
 * reader.h: one who reads, and whether its subscription's own counters say the same as its account.
 *
 * Invariant: its account begins where its subscription began, which nobody tells it: that follows
 * from the counters and the first events.
 */
#ifndef SOAK_READER_H
#define SOAK_READER_H

#include "witness.h"

struct reader {
    struct ledger *ledger;
    const struct role *role;
    struct reader_row *row;
    struct witness witness;
    uint64_t random;
    jb_bus *bus;
    jb_sub *sub;
    uint32_t n_max; /* events to look at in one go */
    uint64_t wait_most_ns;
    bool has_begun; /* it is known where */
    bool is_fresh;  /* what was shown is taken */
    bool sleeps;    /* waits in the kernel, or asks again and again */
    jb_event *events;
    jb_event *again;
    uint8_t *copies;
};

#define reader_fail(self, ...) witness_fail(&(self)->witness, __VA_ARGS__)

/* False after ledger_fail(), as all of these. */
bool reader_stats(struct reader *reader, jb_sub_stats *ret_stats);

/* All events that had a fate, up to its cursor. */
uint64_t reader_passed(const jb_sub_stats *stats);

/* Where the subscription began, from the first event it shows: everything between was passed over
 * as unwanted or missed. */
bool reader_begin(struct reader *reader);

/* The same when its statistics do not tell before some are taken, and not all: then they reach to
 * the last of those. */
bool reader_begin_late(struct reader *reader, int n_taken);

/* It has taken a part of what it was shown: every event up to there has had one fate. */
bool reader_check_fates(struct reader *reader);

#endif
