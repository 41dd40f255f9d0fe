/*
 * ring_layout.h: the words of the ring that processes share.
 *
 * The ring is a log of extents at ever-growing byte **positions** (64 bits, never wrapped in
 * practice). An **extent** is what one claim owns: one record, or a batch of them. Its bytes lie at
 * position modulo capacity, in blocks of one cache line. What it *is*, is said by its **mark**, see
 * mark.h: one word for each block, kept apart from the log so that no payload byte can ever pass
 * for one.
 *
 * Invariant (the chain): if an extent of this lap starts at P with length L, the next one starts at
 * P + L. Extents are claimed by one compare-and-swap on the mark at the chain's end; nothing else
 * decides who owns which bytes. So there is no instruction between which a death could leave the
 * chain broken or a claim without a known owner and length.
 */
#ifndef JBI_RING_LAYOUT_H
#define JBI_RING_LAYOUT_H

#include "ring/mark.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JBI_BLOCK_SHIFT = 6,
    JBI_BLOCK_BYTES = 1 << JBI_BLOCK_SHIFT,
    JBI_HEAD_EPOCH_BITS = 10,
    JBI_SLEEPER_WORDS = 16 /* one bit for each subscription slot, 1024 at most */
};

/* First bytes of a record, followed by the payload; in a batch the next record follows at a
 * multiple of 8. Written by the owner between claim and commit. */
struct jbi_record {
    uint32_t len_bytes; /* of the payload */
    uint32_t topic_id;
    uint64_t time_ns;
    double source_time;
    uint32_t key;
    uint16_t type;
    uint8_t publisher;
    uint8_t bits; /* priority (2) | flags (6) */
};

/* Each word that somebody spins on or updates often has a cache line to itself. */
struct jbi_ring_control {
    /* A hint: some position at or before the chain's end, at an extent's start. Written by every
     * claimer. */
    _Atomic uint64_t tail;
    uint64_t _pad0[7];
    /* Oldest position whose bytes may still be read: blocks << 10 | epoch. Only compare-and-swap
     * changes it. The epoch steps when a lossless reader registers, so that a reclaimer that has
     * not seen the reader fails. */
    _Atomic uint64_t head;
    /* Revoked extents in the ring. Raised before one is revoked, so whoever sees the head behind it
     * sees this. */
    _Atomic uint64_t n_revoked;
    /* The oldest open claim that somebody found in his way, and when he did. Written in this
     * order: since, then position. */
    _Atomic uint64_t stalled_since_ns;
    _Atomic uint64_t stalled_position;
    /* Somebody could not join jbi_os_barrier_all(): before he sleeps he has only his own
     * barrier. */
    _Atomic uint64_t has_outsiders;
    uint64_t _pad1[3];
    /* Event count for sleepers: bit set = that subscription sleeps or is about to. */
    _Atomic uint32_t wake_word;
    uint32_t _pad2[15];
    _Atomic uint64_t sleepers[JBI_SLEEPER_WORDS];
};

/* A subscription's place in the ring. `cursor` is written by its owner alone, and read by
 * reclaimers. */
struct jbi_reader_slot {
    _Atomic uint64_t cursor;
    uint64_t _pad0[7];
    _Atomic uint64_t word; /* see jbi_reader_word() */
    _Atomic uint64_t n_delivered;
    _Atomic uint64_t n_filtered;
    _Atomic uint64_t n_missed;
    _Atomic uint64_t n_conflated;
    _Atomic uint64_t n_evicted;
    _Atomic uint64_t n_before; /* events committed before the cursor */
    uint64_t evict_after_ns;   /* 0: never */
    /* Where publishers found it in their way, and since when. Written in this order: since, then
     * cursor. */
    _Atomic uint64_t held_since_ns;
    _Atomic uint64_t held_cursor;
    uint32_t policy; /* as in the public header */
    uint32_t flags;
    char name[32];
    char pattern[128];
    _Atomic uint32_t group; /* of a slot that belongs to no peer: number + 1 of its group, else 0 */
    uint32_t _pad1;
};

enum jbi_reader_state {
    JBI_READER_FREE = 0,
    JBI_READER_SETUP = 1,
    JBI_READER_LATEST = 2,   /* holds nobody back */
    JBI_READER_LOSSLESS = 3, /* the head does not pass its cursor */
    JBI_READER_EVICTED = 4   /* was lossless, until it stood still for too long */
};

static_assert(sizeof(struct jbi_record) == 32, "layout");
static_assert(offsetof(struct jbi_ring_control, head) == 64, "own line");
static_assert(offsetof(struct jbi_ring_control, wake_word) == 128, "own line");
static_assert(offsetof(struct jbi_ring_control, sleepers) == 192, "own lines");
static_assert(sizeof(struct jbi_ring_control) == 320, "layout");
static_assert(offsetof(struct jbi_reader_slot, word) == 64, "cursor alone on its line");
static_assert(sizeof(struct jbi_reader_slot) == 320, "layout");

/* Who has a reader's slot and how far he is, in one word that never takes the same value twice:
 * whoever decided about it while it changed hands fails his swap. */
static inline uint64_t jbi_reader_word(uint64_t before, uint32_t peer, enum jbi_reader_state state)
{
    return ((before >> 16) + 1) << 16 | (uint64_t)(peer & 0xff) << 8 | (uint64_t)state;
}

static inline enum jbi_reader_state jbi_reader_state(uint64_t word)
{
    return (enum jbi_reader_state)(word & 7);
}

static inline uint32_t jbi_reader_peer(uint64_t word)
{
    return (uint32_t)(word >> 8) & 0xff;
}

static inline uint64_t jbi_head_pack(uint64_t position, uint64_t epoch)
{
    return position >> JBI_BLOCK_SHIFT << JBI_HEAD_EPOCH_BITS |
           (epoch & ((1u << JBI_HEAD_EPOCH_BITS) - 1));
}

static inline uint64_t jbi_head_position(uint64_t head)
{
    return head >> JBI_HEAD_EPOCH_BITS << JBI_BLOCK_SHIFT;
}

#endif
