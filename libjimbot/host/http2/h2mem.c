/*
 * h2mem: see h2mem.h.
 */
#include "host/http2/h2mem.h"

#include "host/text/hmem.h"

/* Before each block, as large as the strictest alignment so that what follows keeps it. */
typedef union head {
    size_t n_bytes;
    max_align_t align;
} head;

static void *take(size_t n, void *alloc)
{
    head *block = n <= SIZE_MAX / 2 ? jbi_hmem_alloc(alloc, sizeof(head) + n) : NULL;

    if (!block)
        return NULL;
    block->n_bytes = n;
    return block + 1;
}

static void give_back(void *p, void *alloc)
{
    head *block = p ? (head *)p - 1 : NULL;

    if (block)
        jbi_hmem_free(alloc, block, sizeof(head) + block->n_bytes);
}

static void *take_zeroed(size_t n_items, size_t item_bytes, void *alloc)
{
    bool fits = item_bytes == 0 || n_items <= SIZE_MAX / 2 / item_bytes;
    void *p = fits ? take(n_items * item_bytes, alloc) : NULL;

    if (p)
        memset(p, 0, n_items * item_bytes);
    return p;
}

static void *resize(void *p, size_t n, void *alloc)
{
    head *block = p ? (head *)p - 1 : NULL;

    if (!block)
        return take(n, alloc);
    if (n > SIZE_MAX / 2)
        return NULL;
    block = jbi_hmem_realloc(alloc, block, sizeof(head) + block->n_bytes, sizeof(head) + n);
    if (!block)
        return NULL;
    block->n_bytes = n;
    return block + 1;
}

nghttp2_mem jbi_h2mem(const jb_alloc *alloc)
{
    return (nghttp2_mem){.mem_user_data = (void *)alloc,
                         .malloc = take,
                         .free = give_back,
                         .calloc = take_zeroed,
                         .realloc = resize};
}
