/*
 * pipe: see pipe.h. A record is a word with its length and its bytes, in one piece; where the end
 * of the memory is too near, a word with SKIP in it says that the next record is at the beginning.
 *
 * The stores of `head` and `ends` are sequentially consistent, because their users go on to read a
 * flag of the other side ("are you asleep?") and must not have read it before.
 */
#include "client/pipe.h"

#include "host/text/hmem.h"

enum { UNIT = 8 };

static const uint64_t SKIP = UINT64_MAX;

static uint64_t ends_of(uint32_t tail, uint32_t pin)
{
    return (uint64_t)tail << 32 | pin;
}

static uint32_t tail_of(uint64_t ends)
{
    return (uint32_t)(ends >> 32);
}

static uint64_t *word_at(const jbi_pipe *p, uint32_t place)
{
    return (uint64_t *)(void *)(p->data + (size_t)(place & (p->n_units - 1)) * UNIT);
}

static uint32_t units_of(uint64_t n_bytes)
{
    return 1 + (uint32_t)((n_bytes + UNIT - 1) / UNIT);
}

/* Units a record takes that begins at a place, the way to the beginning included. */
static uint32_t skip_before(const jbi_pipe *p, uint32_t place, uint32_t n_units)
{
    uint32_t left = p->n_units - (place & (p->n_units - 1));

    return left < n_units ? left : 0;
}

int jbi_pipe_init(jbi_pipe *p, uint64_t cap_bytes, const jb_alloc *alloc)
{
    uint64_t n = 4096;

    while (n < cap_bytes)
        n *= 2;
    *p = (jbi_pipe){.alloc = alloc, .n_units = (uint32_t)(n / UNIT)};
    atomic_init(&p->head, 0);
    atomic_init(&p->ends, 0);
    p->data = jbi_hmem_alloc(alloc, n);
    return p->data ? 0 : JB_ENOMEM;
}

void jbi_pipe_fini(jbi_pipe *p)
{
    if (p->alloc)
        jbi_hmem_free(p->alloc, p->data, (size_t)p->n_units * UNIT);
    p->data = NULL;
}

uint32_t jbi_pipe_record_max(const jbi_pipe *p)
{
    /* At its worst place a record of n units needs nearly n more to get to the beginning. */
    return (p->n_units / 2 - 1) * UNIT;
}

void *jbi_pipe_claim(jbi_pipe *p, uint32_t n_bytes)
{
    uint32_t n_units = units_of(n_bytes);
    uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed);
    /* Pairs with the store in jbi_pipe_release(): the reader has done with what is before it. In
     * one order with all the others: who has no room says so and then looks again. */
    uint32_t tail = tail_of(atomic_load(&p->ends));
    uint32_t skip;

    if (n_bytes > jbi_pipe_record_max(p))
        return NULL;
    skip = skip_before(p, head, n_units);
    if (p->n_units - (head - tail) < skip + n_units)
        return NULL;
    if (skip)
        *word_at(p, head) = SKIP;
    p->claimed = head + skip;
    p->claimed_next = head + skip + n_units;
    *word_at(p, p->claimed) = n_bytes;
    return word_at(p, p->claimed) + 1;
}

void jbi_pipe_commit(jbi_pipe *p)
{
    /* Publishes the record: pairs with the load in jbi_pipe_pin(). */
    atomic_store(&p->head, p->claimed_next);
}

/* The place after the record at a place, wherever its bytes lie. */
static uint32_t place_after(const jbi_pipe *p, uint32_t place)
{
    if (*word_at(p, place) == SKIP)
        place += p->n_units - (place & (p->n_units - 1));
    return place + units_of(*word_at(p, place));
}

bool jbi_pipe_drop(jbi_pipe *p)
{
    uint64_t ends = atomic_load_explicit(&p->ends, memory_order_acquire);
    uint32_t tail = tail_of(ends);
    uint32_t next;

    if (tail != (uint32_t)ends || tail == atomic_load_explicit(&p->head, memory_order_relaxed))
        return false;
    next = place_after(p, tail);
    return atomic_compare_exchange_strong(&p->ends, &ends, ends_of(next, next));
}

uint32_t jbi_pipe_pin(jbi_pipe *p)
{
    uint64_t ends = atomic_load_explicit(&p->ends, memory_order_relaxed);
    uint32_t head;

    /* The writer may drop the oldest between the load and the exchange. */
    do {
        head = atomic_load(&p->head);
    } while (!atomic_compare_exchange_weak(&p->ends, &ends, ends_of(tail_of(ends), head)));
    p->pinned = head;
    return tail_of(ends);
}

void *jbi_pipe_next(jbi_pipe *p, uint32_t *place, uint32_t *ret_bytes)
{
    uint32_t at = *place;

    /* Not the pin in `ends`: where nothing is pinned the writer may move that any time. */
    if (at == p->pinned)
        return NULL;
    *place = place_after(p, at);
    if (*word_at(p, at) == SKIP)
        at += p->n_units - (at & (p->n_units - 1));
    *ret_bytes = (uint32_t)*word_at(p, at);
    return word_at(p, at) + 1;
}

void jbi_pipe_release(jbi_pipe *p, uint32_t place)
{
    /* Only the reader moves these while something is pinned; when nothing is, place is the tail of
     * an empty pin and the writer may have moved it since. */
    uint64_t ends = atomic_load_explicit(&p->ends, memory_order_relaxed);

    if (tail_of(ends) != (uint32_t)ends)
        atomic_store(&p->ends, ends_of(place, place));
}

bool jbi_pipe_is_empty(const jbi_pipe *p)
{
    return jbi_pipe_used(p) == 0;
}

uint64_t jbi_pipe_used(const jbi_pipe *p)
{
    /* The tail first: read the other way round it could have passed the head. */
    uint32_t tail = tail_of(atomic_load(&p->ends));

    return (uint64_t)(atomic_load(&p->head) - tail) * UNIT;
}
