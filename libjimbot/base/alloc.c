/*
 * alloc.c: libc as the default allocator.
 */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *libc_alloc(size_t size_bytes, void *ctx)
{
    (void)ctx;
    return malloc(size_bytes);
}

static void *libc_realloc(void *ptr, size_t old_size_bytes, size_t size_bytes, void *ctx)
{
    (void)old_size_bytes;
    (void)ctx;
    return realloc(ptr, size_bytes);
}

static void libc_free(void *ptr, size_t size_bytes, void *ctx)
{
    (void)size_bytes;
    (void)ctx;
    free(ptr);
}

jb_alloc jbi_alloc_or_default(const jb_alloc *alloc)
{
    const jb_alloc libc = {libc_alloc, libc_realloc, libc_free, NULL};

    return alloc ? *alloc : libc;
}

bool jbi_alloc_is_valid(const jb_alloc *alloc)
{
    return !alloc || (alloc->alloc && alloc->realloc && alloc->free);
}

void *jbi_alloc_zeroed(const jb_alloc *alloc, size_t size_bytes)
{
    void *ptr = alloc->alloc(size_bytes, alloc->ctx);

    if (ptr)
        memset(ptr, 0, size_bytes);
    return ptr;
}

void jbi_alloc_free(const jb_alloc *alloc, void *ptr, size_t size_bytes)
{
    if (ptr)
        alloc->free(ptr, size_bytes, alloc->ctx);
}
