/*
 * ring.h: the event ring: claim, commit and abort for publishers; cursors for readers; sleep and
 * wake.
 *
 * Knows nothing of topics, patterns or events' meaning: a record is a small header and bytes. The
 * protocol and its invariants are in docs/design/ring.md; the words are in ring_layout.h.
 *
 * All of shared memory is untrusted: a length or position is loaded once, checked against the ring,
 * then used.
 */
#ifndef JBI_RING_H
#define JBI_RING_H

#include "jimbot/base.h"
#include "ring/ring_layout.h"

/* Is that peer's process alive? Asked of the kernel by whoever owns the peer table. */
typedef bool (*jbi_ring_alive_fn)(uint32_t peer, void *userdata);

/* A claim of that dead peer was aborted: for whoever keeps the books. */
typedef void (*jbi_ring_orphan_fn)(uint32_t peer, void *userdata);

/* A process's view of a ring. Several threads may share one; only the hints change after
 * jbi_ring_init(). */
struct jbi_ring {
    struct jbi_ring_control *control;
    _Atomic uint64_t *marks; /* one for each block */
    _Atomic uint64_t
        *counts; /* for the block where the head once stood: events committed before it */
    struct jbi_reader_slot *readers;
    uint8_t *log;
    uint64_t capacity_bytes; /* a power of two */
    uint32_t capacity_shift;
    uint32_t n_readers;
    uint32_t max_record_bytes;
    uint32_t owner; /* this handle's peer number */
    jbi_ring_alive_fn is_alive;
    jbi_ring_orphan_fn on_orphan;
    void *alive_userdata; /* of both */
    _Atomic uint64_t
        head_seen; /* a head position this handle has seen: saves looking at the shared one */
    _Atomic uint64_t next_check_ns; /* when dead owners may next be looked for */
};

/* Bytes of the three areas for a capacity. */
uint64_t jbi_ring_marks_bytes(uint64_t capacity_bytes);

/* Write the control words of a fresh, zeroed ring: the chain begins at lap 1. */
void jbi_ring_format(struct jbi_ring *ring);

/* For publishers. */

struct jbi_slot {
    struct jbi_record *record;
    uint64_t position;
    uint64_t mark; /* as claimed */
};

/* Own a record of len_bytes (header and payload). Lock-free; JB_EAGAIN when the oldest bytes may
 * not be reused yet, JB_ETOOBIG, JB_ECORRUPT. */
int jbi_ring_claim(struct jbi_ring *ring, uint64_t len_bytes, struct jbi_slot *ret_slot);

/* Finish a claim in one of two ways. JB_ESTATE when it is finished already. `mark` and `position`
 * as claimed. */
int jbi_ring_commit(struct jbi_ring *ring, uint64_t position, uint64_t mark);
int jbi_ring_abort(struct jbi_ring *ring, uint64_t position, uint64_t mark);

/* Move the head to `need` or further. 0, JB_EAGAIN, JB_ECORRUPT. */
int jbi_ring_reclaim(struct jbi_ring *ring, uint64_t need);

/* Could len_bytes be claimed now? 0, JB_EAGAIN, JB_ETOOBIG, JB_ECORRUPT. Makes room if it can. */
int jbi_ring_make_room(struct jbi_ring *ring, uint64_t len_bytes);

/* Abort every open claim of a peer that is gone. Returns how many there were. */
uint32_t jbi_ring_abort_all(struct jbi_ring *ring, uint32_t owner);

/* For readers. */

/* A place in the log, private to its reader. */
struct jbi_cursor {
    uint64_t position;
    /* Events committed before it, since the ring was made: the next one's sequence minus one. */
    uint64_t n_before;
};

enum jbi_step {
    JBI_STEP_END,   /* nothing there yet, or a claim that is not finished */
    JBI_STEP_EVENT, /* a committed record; the cursor has moved behind it */
    JBI_STEP_LAPPED /* the bytes at the cursor were given to somebody else */
};

/* Move over aborted records to the next committed one. ret_record points into the log;
 * ret_len_bytes is what the mark allows, record->len_bytes is still unchecked. JB_ECORRUPT or an
 * enum jbi_step. */
int jbi_cursor_step(const struct jbi_ring *ring, struct jbi_cursor *cursor,
                    const struct jbi_record **ret_record, uint64_t *ret_len_bytes);

/* True while the bytes at that position have not been given away. Call it after copying; the copy
 * is good if true. */
bool jbi_ring_is_kept(const struct jbi_ring *ring, uint64_t position);

/* The oldest record kept. */
void jbi_cursor_oldest(const struct jbi_ring *ring, struct jbi_cursor *ret_cursor);

/* Move a lapped cursor to the oldest record kept. JB_ECORRUPT when it was not lapped at all. */
int jbi_cursor_catch_up(const struct jbi_ring *ring, struct jbi_cursor *cursor);

/* Behind the newest record of the unbroken chain of finished ones. JB_ECORRUPT. */
int jbi_cursor_newest(const struct jbi_ring *ring, struct jbi_cursor *ret_cursor);

/* Make a reader gate reclamation from a cursor on; the cursor moves forward if that place is gone
 * already. */
void jbi_reader_gate(struct jbi_ring *ring, struct jbi_reader_slot *slot,
                     struct jbi_cursor *cursor);

/* Free a reader's slot if it still holds that word, whoever owns it. */
void jbi_reader_release(struct jbi_ring *ring, uint32_t reader_idx, uint64_t word);

/* Look after a claim that blocks a reader: abort it if its owner is dead. Rate-limited, may cost
 * system calls. */
void jbi_ring_unblock(struct jbi_ring *ring, uint64_t position);

/* Highest position claimed so far, for statistics. */
uint64_t jbi_ring_tail(const struct jbi_ring *ring);

/* Wake whoever sleeps. A load or two when nobody does. Call it after commit. */
void jbi_ring_wake(struct jbi_ring *ring);

/* Sleep until the mark at the cursor changes, a wake-up, or timeout_ns. */
void jbi_ring_sleep(struct jbi_ring *ring, uint32_t reader_idx, const struct jbi_cursor *cursor,
                    uint64_t timeout_ns);

/* Take a reader out of the sleepers, for one that died asleep. */
void jbi_ring_forget_sleeper(struct jbi_ring *ring, uint32_t reader_idx);

/* Arithmetic shared by the files of this room. */

static inline uint64_t jbi_ring_lap(const struct jbi_ring *ring, uint64_t position)
{
    return position >> ring->capacity_shift & ((UINT64_C(1) << JBI_MARK_LAP_BITS) - 1);
}

static inline uint64_t jbi_ring_block(const struct jbi_ring *ring, uint64_t position)
{
    return (position & (ring->capacity_bytes - 1)) >> JBI_BLOCK_SHIFT;
}

static inline uint64_t jbi_ring_mark_load(const struct jbi_ring *ring, uint64_t position)
{
    return atomic_load_explicit(&ring->marks[jbi_ring_block(ring, position)], memory_order_acquire);
}

/* How the mark's lap lies to the position's: < 0 older (free), 0 the same, > 0 the ring has gone
 * on. */
static inline int jbi_mark_age(const struct jbi_ring *ring, uint64_t mark, uint64_t position)
{
    uint64_t shift = 64 - JBI_MARK_LAP_BITS;
    int64_t diff = (int64_t)((jbi_mark_lap(mark) - jbi_ring_lap(ring, position)) << shift);

    return diff < 0 ? -1 : diff > 0;
}

/* Length of the record a mark of this lap describes, or 0 when no writer of ours made it. */
static inline uint64_t jbi_mark_bytes(const struct jbi_ring *ring, uint64_t mark, uint64_t position)
{
    uint64_t bytes = (uint64_t)jbi_mark_len_blocks(mark) << JBI_BLOCK_SHIFT;

    if (bytes > ring->capacity_bytes - (position & (ring->capacity_bytes - 1)) ||
        jbi_mark_state(mark) < JBI_CLAIMED)
        return 0;
    return bytes;
}

#endif
