/*
 * hmem: how this library allocates.
 *
 * Invariant: every block of the host is taken from and given back to the jb_alloc the caller chose,
 * with its size, so that an accounting allocator sees balanced books. libuv's own small records and
 * what OpenSSL allocates are outside of it.
 */
#ifndef JBI_HOST_HMEM_H
#define JBI_HOST_HMEM_H

#include "jimbot/base.h"

#include <string.h>

/* The libc allocator, for callers that chose none. */
extern const jb_alloc jbi_hmem_libc;

static inline void *jbi_hmem_alloc(const jb_alloc *a, size_t n_bytes)
{
    return a->alloc(n_bytes, a->ctx);
}

static inline void *jbi_hmem_zalloc(const jb_alloc *a, size_t n_bytes)
{
    void *p = a->alloc(n_bytes, a->ctx);

    if (p)
        memset(p, 0, n_bytes);
    return p;
}

static inline void *jbi_hmem_realloc(const jb_alloc *a, void *p, size_t old_bytes, size_t n_bytes)
{
    return a->realloc(p, old_bytes, n_bytes, a->ctx);
}

static inline void jbi_hmem_free(const jb_alloc *a, void *p, size_t n_bytes)
{
    if (p)
        a->free(p, n_bytes, a->ctx);
}

#endif
