/* See arena.h. A chunk is one allocation: this head, then its bytes. */
#include "schema/arena.h"

#include <stdalign.h>
#include <string.h>

struct jbi_arena_chunk {
    struct jbi_arena_chunk *next;
    size_t cap_bytes;
    size_t used_bytes;
    alignas(16) uint8_t bytes[];
};

static struct jbi_arena_chunk *chunk_new(struct jbi_arena *a, size_t cap_bytes)
{
    struct jbi_arena_chunk *c = a->alloc->alloc(sizeof *c + cap_bytes, a->alloc->ctx);

    if (c == NULL)
        return NULL;
    c->cap_bytes = cap_bytes;
    c->used_bytes = 0;
    c->next = a->chunks;
    a->chunks = c;
    a->total_bytes += cap_bytes;
    return c;
}

/* Free the chunks after `keep`, or all of them when it is NULL. */
static void chunks_free(struct jbi_arena *a, struct jbi_arena_chunk *keep)
{
    struct jbi_arena_chunk *c = keep != NULL ? keep->next : a->chunks;

    while (c != NULL) {
        struct jbi_arena_chunk *next = c->next;

        a->total_bytes -= c->cap_bytes;
        a->alloc->free(c, sizeof *c + c->cap_bytes, a->alloc->ctx);
        c = next;
    }
    if (keep != NULL)
        keep->next = NULL;
    else
        a->chunks = NULL;
}

int jbi_arena_init(struct jbi_arena *a, const jb_alloc *alloc, size_t first_bytes)
{
    *a = (struct jbi_arena){.alloc = alloc};
    return chunk_new(a, first_bytes) != NULL ? 0 : JB_ENOMEM;
}

void jbi_arena_fini(struct jbi_arena *a)
{
    chunks_free(a, NULL);
}

void jbi_arena_reset(struct jbi_arena *a)
{
    /* One chunk for all: the next batch of this size allocates nothing. Without memory for it the
     * newest, which is the largest, stays alone. */
    if (a->chunks->next != NULL)
        chunk_new(a, a->total_bytes);
    chunks_free(a, a->chunks);
    a->chunks->used_bytes = 0;
}

uint8_t *jbi_arena_free(struct jbi_arena *a, size_t *ret_cap_bytes)
{
    *ret_cap_bytes = a->chunks->cap_bytes - a->chunks->used_bytes;
    return a->chunks->bytes + a->chunks->used_bytes;
}

uint8_t *jbi_arena_extend(struct jbi_arena *a, size_t used_bytes, size_t want_bytes,
                          size_t *ret_cap_bytes)
{
    struct jbi_arena_chunk *old = a->chunks;
    struct jbi_arena_chunk *c;
    size_t cap_bytes = old->cap_bytes;

    if (old->cap_bytes - old->used_bytes >= want_bytes)
        return jbi_arena_free(a, ret_cap_bytes);
    while (cap_bytes < want_bytes * 2)
        cap_bytes *= 2;
    c = chunk_new(a, cap_bytes);
    if (c == NULL)
        return NULL;
    memcpy(c->bytes, old->bytes + old->used_bytes, used_bytes);
    if (old->used_bytes == 0) {
        c->next = old->next;
        a->total_bytes -= old->cap_bytes;
        a->alloc->free(old, sizeof *old + old->cap_bytes, a->alloc->ctx);
    }
    *ret_cap_bytes = cap_bytes;
    return c->bytes;
}

void jbi_arena_keep(struct jbi_arena *a, size_t len_bytes)
{
    a->chunks->used_bytes += len_bytes;
}
