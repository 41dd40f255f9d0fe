/*
 * cursor.h: a reader's place in the ring.
 *
 * Invariant: a cursor stands at a record's start and knows how many events were committed before
 * it, so sequence numbers and missed counts are exact without any counter on the publisher's path.
 */
#ifndef JBI_RING_CURSOR_H
#define JBI_RING_CURSOR_H

#include "base/tsan.h"
#include "ring/chain.h"

#include <string.h>

/* A place in the log, private to its reader. */
struct jbi_cursor {
    uint64_t position;
    /* Events committed before it, since the ring was made: the next one's sequence minus one. */
    uint64_t n_before;
    uint64_t extent_end; /* of the batch it stands in, while n_left > 0 */
    uint32_t n_left;     /* records of that batch from here on */
};

enum jbi_step {
    JBI_STEP_END,   /* nothing there yet, or a claim that is not finished */
    JBI_STEP_EVENT, /* a committed record; the cursor has moved behind it */
    JBI_STEP_LAPPED /* the bytes at the cursor were given to somebody else */
};

/* Move over aborted extents, and over one committed extent without a look at its records. As
 * jbi_cursor_step(). */
int jbi_cursor_skip(const struct jbi_ring *ring, struct jbi_cursor *cursor);

/* True while the bytes at that position have not been given away. Call it after copying; the copy
 * is good if true. */
bool jbi_ring_is_kept(const struct jbi_ring *ring, uint64_t position);

/* The oldest record kept. */
void jbi_cursor_oldest(const struct jbi_ring *ring, struct jbi_cursor *ret_cursor);

/* Move a lapped cursor to the oldest record kept. JB_ECORRUPT when it was not lapped at all. */
int jbi_cursor_catch_up(const struct jbi_ring *ring, struct jbi_cursor *cursor);

/* Behind the newest record of the unbroken chain of finished ones. JB_ECORRUPT. */
int jbi_cursor_newest(const struct jbi_ring *ring, struct jbi_cursor *ret_cursor);

/* Make a reader of that peer gate reclamation from a cursor on; the cursor moves forward if that
 * place is gone already. Returns the slot's word as long as it does: reading it afterwards may find
 * that it was evicted meanwhile. */
uint64_t jbi_reader_gate(struct jbi_ring *ring, struct jbi_reader_slot *slot, uint32_t peer,
                         struct jbi_cursor *cursor);

/* Free a reader's slot if it still holds that word, whoever owns it. False if it does not. */
bool jbi_reader_release(struct jbi_ring *ring, uint32_t reader_idx, uint64_t word);

/* Reads bytes that publishers may be overwriting; whoever calls this checks afterwards whether they
 * were. The race is meant, so the race detector must not see it, nor the memcpy() it intercepts. */
#ifdef JBI_IS_TSAN
void jbi_copy_unstable(void *to, const void *from, size_t len_bytes);
#else
static inline void jbi_copy_unstable(void *to, const void *from, size_t len_bytes)
{
    memcpy(to, from, len_bytes);
}
#endif

/* What a length that cannot be means: JB_ECORRUPT, or JBI_STEP_LAPPED when we were overtaken. */
int jbi_cursor_damage(const struct jbi_ring *ring, const struct jbi_cursor *cursor);

/* Find the committed extent at the cursor, past aborted ones. As jbi_cursor_step(). */
int jbi_cursor_open(const struct jbi_ring *ring, struct jbi_cursor *cursor);

/* Move over aborted extents to the next committed record, and over that. ret_record is a copy of
 * its header, whose length has been checked against its extent; ret_payload points into the log.
 * Both may be torn unless the reader is lossless: see jbi_ring_is_kept(). JB_ECORRUPT or an enum
 * jbi_step. */
static inline int jbi_cursor_step(const struct jbi_ring *ring, struct jbi_cursor *cursor,
                                  struct jbi_record *ret_record, const uint8_t **ret_payload)
{
    const uint8_t *shared;
    uint64_t room, bytes;

    if (cursor->n_left == 0) {
        int rc = jbi_cursor_open(ring, cursor);

        if (rc != JBI_STEP_EVENT)
            return rc;
    }
    shared = ring->log + (cursor->position & (ring->capacity_bytes - 1));
    room = cursor->extent_end - cursor->position;
    if (room < sizeof *ret_record)
        return jbi_cursor_damage(ring, cursor);
    jbi_copy_unstable(ret_record, shared, sizeof *ret_record);
    if (ret_record->len_bytes > room - sizeof *ret_record)
        return jbi_cursor_damage(ring, cursor);
    bytes = jbi_record_bytes(ret_record->len_bytes);
    *ret_payload = shared + sizeof *ret_record;
    cursor->n_before++;
    cursor->n_left--;
    cursor->position =
        cursor->n_left && bytes < room ? cursor->position + bytes : cursor->extent_end;
    return JBI_STEP_EVENT;
}

#endif
