/*
 * dedupe: a ring of ids with a chained hash index over it, see dedupe.h.
 *
 * Entries are 60 bytes, so the default window of 65536 costs about 4.3 MiB. Chains are unlinked
 * when their entry is overwritten, hence the index never names an id that left the window.
 */
#include "host/service/dedupe.h"

#include "host/text/hmem.h"

#include <sys/random.h>

int jbi_dedupe_init(jbi_dedupe *d, uint32_t n_window, const jb_alloc *alloc)
{
    uint32_t n_buckets = 16;

    while (n_buckets < n_window)
        n_buckets *= 2;
    *d = (jbi_dedupe){.alloc = alloc, .n_window = n_window, .n_buckets = n_buckets};
    if (getrandom(&d->key, sizeof(d->key), 0) != (ssize_t)sizeof(d->key))
        return JB_ESYS;
    d->ring = jbi_hmem_zalloc(alloc, n_window * sizeof(*d->ring));
    d->buckets = jbi_hmem_zalloc(alloc, n_buckets * sizeof(*d->buckets));
    if (!d->ring || !d->buckets) {
        jbi_dedupe_fini(d);
        return JB_ENOMEM;
    }
    return 0;
}

void jbi_dedupe_fini(jbi_dedupe *d)
{
    jbi_hmem_free(d->alloc, d->ring, d->n_window * sizeof(*d->ring));
    jbi_hmem_free(d->alloc, d->buckets, d->n_buckets * sizeof(*d->buckets));
    d->ring = NULL;
    d->buckets = NULL;
}

/* What stands for an id, whatever its length; the rest of the field is zero. */
static void make_entry(const jbi_dedupe *d, const char *id, size_t n, jbi_dedupe_entry *ret_entry)
{
    uint64_t hash[2];

    jbi_siphash(&d->key, id, n, hash);
    *ret_entry = (jbi_dedupe_entry){.len_bytes = (uint32_t)n,
                                    .bucket = (uint32_t)hash[0] & (d->n_buckets - 1)};
    if (n <= JBI_DEDUPE_ID_BYTES) {
        memcpy(ret_entry->id, id, n);
        return;
    }
    memcpy(ret_entry->id, id, 32);
    memcpy(ret_entry->id + 32, hash, 16);
}

bool jbi_dedupe_has(const jbi_dedupe *d, const char *id, size_t n)
{
    jbi_dedupe_entry want;

    if (n == 0)
        return false;
    make_entry(d, id, n, &want);
    for (uint32_t i = d->buckets[want.bucket]; i; i = d->ring[i - 1].next) {
        const jbi_dedupe_entry *e = &d->ring[i - 1];

        if (e->len_bytes == want.len_bytes && !memcmp(e->id, want.id, sizeof(want.id)))
            return true;
    }
    return false;
}

static void unlink_entry(jbi_dedupe *d, uint32_t idx)
{
    uint32_t *link = &d->buckets[d->ring[idx].bucket];

    while (*link != idx + 1)
        link = &d->ring[*link - 1].next;
    *link = d->ring[idx].next;
}

static void link_entry(jbi_dedupe *d, uint32_t idx)
{
    jbi_dedupe_entry *e = &d->ring[idx];

    e->next = d->buckets[e->bucket];
    d->buckets[e->bucket] = idx + 1;
}

void jbi_dedupe_swap(jbi_dedupe *d, const char *id, size_t n, jbi_dedupe_entry *ret_old)
{
    *ret_old = d->ring[d->at];
    if (ret_old->len_bytes)
        unlink_entry(d, d->at);
    make_entry(d, id, n, &d->ring[d->at]);
    link_entry(d, d->at);
    d->at = (d->at + 1) % d->n_window;
}

void jbi_dedupe_add(jbi_dedupe *d, const char *id, size_t n)
{
    jbi_dedupe_entry old;

    if (n)
        jbi_dedupe_swap(d, id, n, &old);
}

void jbi_dedupe_undo(jbi_dedupe *d, const jbi_dedupe_entry *old, uint32_t n)
{
    while (n-- > 0) {
        d->at = (d->at + d->n_window - 1) % d->n_window;
        unlink_entry(d, d->at);
        d->ring[d->at] = old[n];
        if (old[n].len_bytes)
            link_entry(d, d->at);
    }
}
