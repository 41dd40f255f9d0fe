/*
 * mark.h: the 64-bit word that says what an extent is.
 *
 *     lap (38 bits) | wide (1) | length in blocks (15) | owner, a peer number (8) | state (2)
 *
 * It is meaningful at a position only if its lap is that position's lap; an older lap means "free".
 * `wide` says of a claimed or committed extent that it is a batch: the mark of its second block
 * then holds how many records (in the place of the length, with state 0). Of an aborted one it says
 * that it was revoked: its owner lives and may still write there, so the bytes are given to nobody.
 *
 *     free (older lap) --claim--> CLAIMED --commit--> COMMITTED
 *                                    \-----abort----> ABORTED
 *
 * by the owner, or by anyone once the owner is dead.
 *
 * Invariant: the mark at a position only ever goes from an older lap to a newer one.
 */
#ifndef JBI_RING_MARK_H
#define JBI_RING_MARK_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    JBI_MARK_STATE_BITS = 2,
    JBI_MARK_OWNER_BITS = 8,
    JBI_MARK_LEN_BITS = 15,
    JBI_MARK_LAP_BITS = 38,
    JBI_MARK_LEN_SHIFT = JBI_MARK_STATE_BITS + JBI_MARK_OWNER_BITS,
    JBI_MARK_WIDE_SHIFT = JBI_MARK_LEN_SHIFT + JBI_MARK_LEN_BITS,
    JBI_EXTENT_BLOCKS_MAX = (1 << JBI_MARK_LEN_BITS) - 1
};

enum jbi_mark_state { JBI_UNMARKED = 0, JBI_CLAIMED = 1, JBI_COMMITTED = 2, JBI_ABORTED = 3 };

static_assert(JBI_MARK_WIDE_SHIFT + 1 + JBI_MARK_LAP_BITS == 64, "one word");

static inline uint64_t jbi_mark_pack(uint64_t lap, uint32_t len_blocks, uint32_t owner,
                                     enum jbi_mark_state state)
{
    return lap << (64 - JBI_MARK_LAP_BITS) | (uint64_t)len_blocks << JBI_MARK_LEN_SHIFT |
           (uint64_t)owner << JBI_MARK_STATE_BITS | (uint64_t)state;
}

static inline uint64_t jbi_mark_lap(uint64_t mark)
{
    return mark >> (64 - JBI_MARK_LAP_BITS);
}

/* Of a batch's second mark: the number of its records. */
static inline uint32_t jbi_mark_len_blocks(uint64_t mark)
{
    return (uint32_t)(mark >> JBI_MARK_LEN_SHIFT) & JBI_EXTENT_BLOCKS_MAX;
}

static inline uint32_t jbi_mark_owner(uint64_t mark)
{
    return (uint32_t)(mark >> JBI_MARK_STATE_BITS) & ((1u << JBI_MARK_OWNER_BITS) - 1);
}

static inline enum jbi_mark_state jbi_mark_state(uint64_t mark)
{
    return (enum jbi_mark_state)(mark & ((1u << JBI_MARK_STATE_BITS) - 1));
}

static inline bool jbi_mark_is_wide(uint64_t mark)
{
    return mark >> JBI_MARK_WIDE_SHIFT & 1;
}

static inline uint64_t jbi_mark_wide(uint64_t mark)
{
    return mark | UINT64_C(1) << JBI_MARK_WIDE_SHIFT;
}

static inline uint64_t jbi_mark_with_state(uint64_t mark, enum jbi_mark_state state)
{
    return (mark & ~(uint64_t)((1u << JBI_MARK_STATE_BITS) - 1)) | (uint64_t)state;
}

/* A claim given back, or taken from the dead. */
static inline uint64_t jbi_mark_aborted(uint64_t mark)
{
    return jbi_mark_with_state(mark, JBI_ABORTED) & ~(UINT64_C(1) << JBI_MARK_WIDE_SHIFT);
}

static inline bool jbi_mark_is_revoked(uint64_t mark)
{
    return jbi_mark_state(mark) == JBI_ABORTED && jbi_mark_is_wide(mark);
}

#endif
