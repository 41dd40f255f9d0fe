/*
 * alloc.h: memory through the caller's allocator.
 *
 * Invariant: whatever is allocated through a jb_alloc is freed through the same one, with the size
 * it was asked for.
 */
#ifndef JBI_BASE_ALLOC_H
#define JBI_BASE_ALLOC_H

#include "jimbot/base.h"

/* The caller's allocator, or libc's for NULL. */
jb_alloc jbi_alloc_or_default(const jb_alloc *alloc);

/* True when all three functions are there, or alloc is NULL. */
bool jbi_alloc_is_valid(const jb_alloc *alloc);

/* Zeroed memory, or NULL. */
void *jbi_alloc_zeroed(const jb_alloc *alloc, size_t size_bytes);

/* Free what jbi_alloc_zeroed() or alloc->alloc returned; NULL is fine. */
void jbi_alloc_free(const jb_alloc *alloc, void *ptr, size_t size_bytes);

#endif
