/*
 * dedupe: a ring of ids with a hash table over it, see dedupe.h.
 *
 * A place of the table is 8 bytes: the hash and where the id lies in the ring, at or after the
 * place its hash points to (linear probing, at most half full). So a new id, as nearly all are,
 * costs one cache line of the table and none of the ring but the next in turn. Taking an id out
 * moves those behind it forward, hence no place is ever marked as deleted.
 */
#include "host/service/dedupe.h"

#include "host/text/hmem.h"

#include <sys/random.h>

int jbi_dedupe_init(jbi_dedupe *d, uint32_t n_window, const jb_alloc *alloc)
{
    uint32_t n_places = 16;

    while (n_places < 2 * n_window)
        n_places *= 2;
    *d = (jbi_dedupe){.alloc = alloc, .n_window = n_window, .n_places = n_places};
    if (getrandom(&d->key, sizeof(d->key), 0) != (ssize_t)sizeof(d->key))
        return JB_ESYS;
    d->ring = jbi_hmem_zalloc(alloc, n_window * sizeof(*d->ring));
    d->places = jbi_hmem_zalloc(alloc, n_places * sizeof(*d->places));
    if (!d->ring || !d->places) {
        jbi_dedupe_fini(d);
        return JB_ENOMEM;
    }
    return 0;
}

void jbi_dedupe_fini(jbi_dedupe *d)
{
    jbi_hmem_free(d->alloc, d->ring, d->n_window * sizeof(*d->ring));
    jbi_hmem_free(d->alloc, d->places, d->n_places * sizeof(*d->places));
    d->ring = NULL;
    d->places = NULL;
}

void jbi_dedupe_read(const jbi_dedupe *d, const char *id, size_t n, jbi_dedupe_entry *ret_entry)
{
    uint64_t hash[2];

    if (n == 0) {
        ret_entry->len_bytes = 0;
        return;
    }

    jbi_siphash(&d->key, id, n, hash);
    *ret_entry = (jbi_dedupe_entry){.len_bytes = (uint32_t)n, .hash = (uint32_t)hash[0]};
    __builtin_prefetch(&d->places[ret_entry->hash & (d->n_places - 1)], 1);
    if (n <= JBI_DEDUPE_ID_BYTES) {
        memcpy(ret_entry->id, id, n);
        return;
    }
    memcpy(ret_entry->id, id, 32);
    memcpy(ret_entry->id + 32, hash, 16);
}

bool jbi_dedupe_has(const jbi_dedupe *d, const jbi_dedupe_entry *id)
{
    uint32_t mask = d->n_places - 1;

    if (!id->len_bytes)
        return false;
    for (uint32_t i = id->hash & mask; d->places[i].at; i = (i + 1) & mask) {
        const jbi_dedupe_entry *e = &d->ring[d->places[i].at - 1];

        if (d->places[i].hash == id->hash && e->len_bytes == id->len_bytes &&
            !memcmp(e->id, id->id, sizeof(e->id)))
            return true;
    }
    return false;
}

static void unlink_entry(jbi_dedupe *d, uint32_t idx)
{
    uint32_t mask = d->n_places - 1;
    uint32_t hole = d->ring[idx].hash & mask;

    while (d->places[hole].at != idx + 1)
        hole = (hole + 1) & mask;
    /* Whoever lies behind the hole without a gap moves into it, unless its own place is behind the
     * hole. */
    for (uint32_t i = (hole + 1) & mask; d->places[i].at; i = (i + 1) & mask) {
        if (((i - d->places[i].hash) & mask) >= ((i - hole) & mask)) {
            d->places[hole] = d->places[i];
            hole = i;
        }
    }
    d->places[hole].at = 0;
}

static void link_entry(jbi_dedupe *d, uint32_t idx)
{
    uint32_t mask = d->n_places - 1;
    uint32_t i = d->ring[idx].hash & mask;

    while (d->places[i].at)
        i = (i + 1) & mask;
    d->places[i] = (jbi_dedupe_place){.hash = d->ring[idx].hash, .at = idx + 1};
}

void jbi_dedupe_swap(jbi_dedupe *d, const jbi_dedupe_entry *id, jbi_dedupe_entry *ret_old)
{
    *ret_old = d->ring[d->at];
    if (ret_old->len_bytes)
        unlink_entry(d, d->at);
    d->ring[d->at] = *id;
    link_entry(d, d->at);
    d->at = d->at + 1 == d->n_window ? 0 : d->at + 1;
    /* The next one to leave: its place is wanted soon. */
    __builtin_prefetch(&d->places[d->ring[d->at].hash & (d->n_places - 1)], 1);
}

void jbi_dedupe_add(jbi_dedupe *d, const jbi_dedupe_entry *id)
{
    jbi_dedupe_entry old;

    if (id->len_bytes)
        jbi_dedupe_swap(d, id, &old);
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
