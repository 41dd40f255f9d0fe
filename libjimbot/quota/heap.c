/*
 * heap.c: leases by deadline: a heap of four children each, whose entries carry the deadline so
 * that a comparison does not go to the lease.
 *
 * Invariant: heap[i].lease names a lease whose heap_at is i + 1. Places read from the block are
 * checked against the table; a heap that somebody broke is in the wrong order, never out of bounds.
 */
#include "quota/books.h"

enum { CHILDREN = 4 };

static uint64_t count(const struct jbi_books *books)
{
    uint64_t n = books->head->n_deadlines;

    return n < books->n_leases ? n : books->n_leases;
}

static void put(const struct jbi_books *books, uint64_t at, uint64_t at_ns, uint64_t lease)
{
    jbi_undo_set(&books->undo, &books->heap[at].at_ns, at_ns);
    jbi_undo_set(&books->undo, &books->heap[at].lease, lease);
    if (lease >= 1 && lease <= books->n_leases)
        jbi_undo_set(&books->undo, &books->leases[lease - 1].heap_at, at + 1);
}

static void sift_up(const struct jbi_books *books, uint64_t at, uint64_t at_ns, uint64_t lease)
{
    while (at > 0) {
        uint64_t parent = (at - 1) / CHILDREN;

        if (books->heap[parent].at_ns <= at_ns)
            break;
        put(books, at, books->heap[parent].at_ns, books->heap[parent].lease);
        at = parent;
    }
    put(books, at, at_ns, lease);
}

static uint64_t least_child(const struct jbi_books *books, uint64_t at, uint64_t n)
{
    uint64_t first = at * CHILDREN + 1;
    uint64_t least = first;

    for (uint64_t i = first + 1; i < first + CHILDREN && i < n; i++) {
        if (books->heap[i].at_ns < books->heap[least].at_ns)
            least = i;
    }
    return least;
}

static void sift_down(const struct jbi_books *books, uint64_t at, uint64_t at_ns, uint64_t lease)
{
    uint64_t n = count(books);

    while (at * CHILDREN + 1 < n) {
        uint64_t child = least_child(books, at, n);

        if (books->heap[child].at_ns >= at_ns)
            break;
        put(books, at, books->heap[child].at_ns, books->heap[child].lease);
        at = child;
    }
    put(books, at, at_ns, lease);
}

void jbi_heap_insert(const struct jbi_books *books, uint32_t slot)
{
    uint64_t n = count(books);

    if (n >= books->n_leases)
        return;
    jbi_undo_set(&books->undo, &books->head->n_deadlines, n + 1);
    sift_up(books, n, books->leases[slot].deadline_ns, slot + UINT64_C(1));
}

void jbi_heap_remove(const struct jbi_books *books, uint32_t slot)
{
    uint64_t at = books->leases[slot].heap_at;
    uint64_t n = count(books);
    uint64_t last_ns, last;

    if (at < 1 || at > n || books->heap[at - 1].lease != slot + UINT64_C(1))
        return;
    at--;
    n--;
    last_ns = books->heap[n].at_ns;
    last = books->heap[n].lease;
    jbi_undo_set(&books->undo, &books->leases[slot].heap_at, 0);
    jbi_undo_set(&books->undo, &books->head->n_deadlines, n);
    if (at == n)
        return;
    if (at > 0 && books->heap[(at - 1) / CHILDREN].at_ns > last_ns)
        sift_up(books, at, last_ns, last);
    else
        sift_down(books, at, last_ns, last);
}
