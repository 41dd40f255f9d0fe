/*
 * sleep.c: an event count in shared memory.
 *
 * One who sleeps for himself does it in one step, jbi_ring_sleep(). One who sleeps for several
 * reads the wake word, arms them one by one, and sleeps on the word he read.
 *
 * Invariant: a publisher makes no system call unless somebody's bit is set, and a sleeper never
 * sleeps through a commit: it sets its bit, then looks; the publisher commits, then looks at the
 * bits. Between the two on each side is a full barrier; the publisher's may be one that the sleeper
 * makes happen.
 */
#include "base/os.h"
#include "ring/chain.h"

static uint32_t *wake_word(struct jbi_ring *ring)
{
    return (uint32_t *)(void *)&ring->control->wake_word;
}

void jbi_ring_wake_sleepers(struct jbi_ring *ring)
{
    atomic_fetch_add_explicit(&ring->control->wake_word, 1, memory_order_seq_cst);
    jbi_os_wake_all(wake_word(ring));
}

uint32_t jbi_ring_wake_word(const struct jbi_ring *ring)
{
    return atomic_load_explicit(&ring->control->wake_word, memory_order_seq_cst);
}

void jbi_ring_sleep_on(struct jbi_ring *ring, uint32_t word, uint64_t timeout_ns)
{
    jbi_os_wait_on(wake_word(ring), word, timeout_ns);
}

bool jbi_ring_arm(struct jbi_ring *ring, uint32_t reader_idx, uint64_t position)
{
    uint64_t mark;

    atomic_fetch_or_explicit(&ring->control->sleepers[reader_idx / 64],
                             UINT64_C(1) << (reader_idx % 64), memory_order_seq_cst);
    if (ring->has_barrier)
        jbi_os_barrier_all();
    mark = atomic_load_explicit(&ring->marks[jbi_ring_block(ring, position)], memory_order_seq_cst);
    return jbi_mark_is_pending(ring, mark, position);
}

void jbi_ring_sleep(struct jbi_ring *ring, uint32_t reader_idx, uint64_t position,
                    uint64_t timeout_ns)
{
    uint32_t word = jbi_ring_wake_word(ring);

    if (jbi_ring_arm(ring, reader_idx, position))
        jbi_ring_sleep_on(ring, word, timeout_ns);
    jbi_ring_forget_sleeper(ring, reader_idx);
}

void jbi_ring_forget_sleeper(struct jbi_ring *ring, uint32_t reader_idx)
{
    atomic_fetch_and_explicit(&ring->control->sleepers[reader_idx / 64],
                              ~(UINT64_C(1) << (reader_idx % 64)), memory_order_relaxed);
}
