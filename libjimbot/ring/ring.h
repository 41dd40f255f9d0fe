/*
 * ring.h: the event ring: claim, commit and abort for publishers; sleep and wake.
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

/* Does anybody live who needs a reader's slot that belongs to no peer? Asked of whoever made it. */
typedef bool (*jbi_ring_group_fn)(uint32_t reader_idx, void *userdata);

/* What this handle did to others, for whoever keeps the books. Called in the midst of a claim or a
 * look: it must not use the ring. */
enum jbi_ring_notice {
    JBI_NOTICE_ORPHAN,      /* a claim of that dead peer was aborted */
    JBI_NOTICE_REVOKED,     /* a claim of that living peer was cancelled: it stood open too long */
    JBI_NOTICE_READER_DIED, /* the slot of that dead peer's lossless reader was freed */
    JBI_NOTICE_EVICTED      /* that living peer's lossless reader holds nobody back any more */
};
typedef void (*jbi_ring_notice_fn)(enum jbi_ring_notice what, uint32_t peer, uint32_t reader_idx,
                                   void *userdata);

/* A process's view of a ring. Several threads may share one; only the hints change once
 * it is placed. */
struct jbi_ring {
    struct jbi_ring_control *control;
    _Atomic uint64_t *marks; /* one for each block */
    _Atomic uint64_t
        *counts; /* for the block where the head once stood: events committed before it */
    struct jbi_reader_slot *readers;
    uint8_t *log;
    uint64_t capacity_bytes; /* a power of two */
    uint64_t stall_after_ns; /* an open claim may be in the way this long; 0: for ever */
    uint32_t capacity_shift;
    uint32_t n_readers;
    uint32_t max_record_bytes;
    uint32_t owner;   /* this handle's peer number */
    bool has_barrier; /* this process has joined jbi_os_barrier_all() */
    jbi_ring_alive_fn is_alive;
    jbi_ring_group_fn is_group_alive; /* NULL: nobody makes such slots */
    jbi_ring_notice_fn on_notice;
    void *userdata; /* of these */
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

/* Own an extent of len_bytes for n_records (1 .. 32767), headers and payloads together. The caller
 * lays a batch out: each record at a multiple of 8. Lock-free; JB_EAGAIN when the oldest bytes may
 * not be reused yet, JB_ETOOBIG, JB_ECORRUPT. */
int jbi_ring_claim(struct jbi_ring *ring, uint64_t len_bytes, uint32_t n_records,
                   struct jbi_slot *ret_slot);

/* Finish a claim in one of two ways. JB_ESTATE when it is finished already, or was revoked. `mark`
 * and `position` as claimed. */
int jbi_ring_commit(struct jbi_ring *ring, uint64_t position, uint64_t mark);
int jbi_ring_abort(struct jbi_ring *ring, uint64_t position, uint64_t mark);

/* Move the head to `need` or further. 0, JB_EAGAIN, JB_ECORRUPT. */
int jbi_ring_reclaim(struct jbi_ring *ring, uint64_t need);

/* The last cursor of a lossless reader: what lies before it, nobody waits for. UINT64_MAX when
 * there is none. */
uint64_t jbi_ring_readers_limit(const struct jbi_ring *ring);

/* Could len_bytes be claimed now? 0, JB_EAGAIN, JB_ETOOBIG, JB_ECORRUPT. Makes room if it can. */
int jbi_ring_make_room(struct jbi_ring *ring, uint64_t len_bytes);

/* Abort every open claim of a peer that is gone, and free what was revoked from it. Returns how
 * many claims there were. */
uint32_t jbi_ring_abort_all(struct jbi_ring *ring, uint32_t owner);

/* Revoked extents: see revoke.c. Cancel an open claim of a living peer. */
bool jbi_revoke(struct jbi_ring *ring, uint64_t position, uint64_t mark);

/* Is there a revoked extent of a living owner in the *bytes from the chain's end on? Then *bytes is
 * cut to what lies before it; or, where it begins right there, to its length, and ret_mark is its
 * mark, else 0. */
bool jbi_revoked_find(struct jbi_ring *ring, uint64_t position, uint64_t *bytes,
                      uint64_t *ret_mark);

/* That owner will not touch the extent at that position any more, if it was revoked at all. */
void jbi_revoked_return(struct jbi_ring *ring, uint64_t position, uint32_t owner);

/* For readers; their places are in cursor.h. */

/* Look after a claim that blocks a reader: abort it if its owner is dead. Rate-limited, may cost
 * system calls. */
void jbi_ring_unblock(struct jbi_ring *ring, uint64_t position);

/* Highest position claimed so far, for statistics. */
uint64_t jbi_ring_tail(const struct jbi_ring *ring);

/* Wake whoever sleeps. Call it after commit, through jbi_ring_wake(), which is a load or two when
 * nobody does. */
void jbi_ring_wake_sleepers(struct jbi_ring *ring);

/* Sleep until the mark at that position changes, a wake-up, or timeout_ns. */
void jbi_ring_sleep(struct jbi_ring *ring, uint32_t reader_idx, uint64_t position,
                    uint64_t timeout_ns);

/* The same in parts: the word to sleep on, which every wake-up changes; set a reader's bit and look
 * at the mark at that position once more: true if there is still nothing. */
uint32_t jbi_ring_wake_word(const struct jbi_ring *ring);
bool jbi_ring_arm(struct jbi_ring *ring, uint32_t reader_idx, uint64_t position);
void jbi_ring_sleep_on(struct jbi_ring *ring, uint32_t word, uint64_t timeout_ns);

/* Take a reader out of the sleepers: one that was armed, or died asleep. */
void jbi_ring_forget_sleeper(struct jbi_ring *ring, uint32_t reader_idx);

static inline void jbi_ring_wake(struct jbi_ring *ring)
{
    uint32_t n_words = (ring->n_readers + 63) / 64;
    uint64_t any = 0;

    for (uint32_t i = 0; i < n_words; i++)
        any |= atomic_load_explicit(&ring->control->sleepers[i], memory_order_seq_cst);
    if (any)
        jbi_ring_wake_sleepers(ring);
}

/* Bytes a record takes within a batch. */
static inline uint64_t jbi_record_bytes(uint64_t payload_bytes)
{
    return sizeof(struct jbi_record) + ((payload_bytes + 7) & ~UINT64_C(7));
}

#endif
