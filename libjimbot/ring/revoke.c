/*
 * revoke.c: claims taken back from publishers that live but do not go on.
 *
 * Invariant: the bytes of a revoked extent are given to nobody until its owner returns them or
 * dies. It may have been stopped in the middle of a memcpy() and go on with it an hour later. So
 * readers step over the extent as over an aborted one, and at each lap the chain steps around it:
 * who comes to it renews its mark for the new lap, with the same place, length and owner.
 */
#include "ring/chain.h"

bool jbi_revoke(struct jbi_ring *ring, uint64_t position, uint64_t mark)
{
    uint64_t revoked = jbi_mark_wide(jbi_mark_with_state(mark, JBI_ABORTED));

    atomic_fetch_add_explicit(&ring->control->n_revoked, 1, memory_order_relaxed);
    /* Sequentially consistent as a commit is: readers may sleep at this mark. */
    if (atomic_compare_exchange_strong_explicit(&ring->marks[jbi_ring_block(ring, position)], &mark,
                                                revoked, memory_order_seq_cst,
                                                memory_order_relaxed))
        return true;
    atomic_fetch_sub_explicit(&ring->control->n_revoked, 1, memory_order_relaxed);
    return false;
}

/* Turn a revoked mark into an aborted one of the same lap. */
static bool return_mark(struct jbi_ring *ring, _Atomic uint64_t *word, uint64_t mark)
{
    if (!atomic_compare_exchange_strong_explicit(word, &mark, jbi_mark_aborted(mark),
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    atomic_fetch_sub_explicit(&ring->control->n_revoked, 1, memory_order_release);
    return true;
}

void jbi_revoked_return(struct jbi_ring *ring, uint64_t position, uint32_t owner)
{
    _Atomic uint64_t *word = &ring->marks[jbi_ring_block(ring, position)];

    /* Again when a claimer has renewed it for his lap in between. */
    for (;;) {
        uint64_t mark = atomic_load_explicit(word, memory_order_acquire);

        if (!jbi_mark_is_revoked(mark) || jbi_mark_owner(mark) != owner ||
            return_mark(ring, word, mark))
            return;
    }
}

bool jbi_revoked_find(struct jbi_ring *ring, uint64_t position, uint64_t *bytes, uint64_t *ret_mark)
{
    uint64_t block = jbi_ring_block(ring, position);
    uint64_t n_blocks = *bytes >> JBI_BLOCK_SHIFT;

    *ret_mark = 0;
    for (uint64_t i = 0; i < n_blocks; i++) {
        uint64_t mark = atomic_load_explicit(&ring->marks[block + i], memory_order_acquire);

        /* One of this lap is somebody's who was faster than us: our swap will fail. */
        if (!jbi_mark_is_revoked(mark) || jbi_mark_age(ring, mark, position) >= 0 ||
            !jbi_mark_bytes(ring, mark, position + (i << JBI_BLOCK_SHIFT)))
            continue;
        if (!ring->is_alive(jbi_mark_owner(mark), ring->userdata)) {
            (void)return_mark(ring, &ring->marks[block + i], mark);
            continue;
        }
        if (i == 0)
            *ret_mark = mark;
        *bytes =
            i == 0 ? (uint64_t)jbi_mark_len_blocks(mark) << JBI_BLOCK_SHIFT : i << JBI_BLOCK_SHIFT;
        return true;
    }
    return false;
}
