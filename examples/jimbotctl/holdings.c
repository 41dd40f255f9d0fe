/*
 * holdings.c: see holdings.h.
 */
#include "holdings.h"

#include <stdlib.h>
#include <sys/random.h>

/* With a part that nobody knows: a log is not to choose where its tokens fall. */
static uint64_t hash_of(uint64_t token, uint32_t resource)
{
    static uint64_t secret;
    uint64_t hash;

    if (!secret && getrandom(&secret, sizeof(secret), GRND_NONBLOCK) < 0)
        secret = (uintptr_t)&hash;
    hash = (token + secret) ^ (uint64_t)resource << 56;
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

/* The place of a holding, or where it would be. */
static holding *place_of(const holdings *h, uint64_t token, uint32_t resource)
{
    uint64_t at = hash_of(token, resource) & (h->n_places - 1);

    while (h->table[at].is_used &&
           (h->table[at].token != token || h->table[at].resource != resource))
        at = (at + 1) & (h->n_places - 1);
    return &h->table[at];
}

holding *holdings_find(const holdings *h, uint64_t token, uint32_t resource)
{
    holding *found = h->n_places ? place_of(h, token, resource) : NULL;

    return found && found->is_used ? found : NULL;
}

/* Room for one more. */
static int grow(holdings *h)
{
    holdings next = {.n_places = 1024, .n_held = h->n_held};

    if (h->n_places && h->n_used * 2 < h->n_places)
        return 0;
    while (next.n_places < 4 * (h->n_held + 1))
        next.n_places *= 2;
    next.table = calloc(next.n_places, sizeof(*next.table));
    if (!next.table)
        return -1;
    for (uint64_t i = 0; i < h->n_places; i++) {
        const holding *old = &h->table[i];

        if (!old->amount)
            continue;
        *place_of(&next, old->token, old->resource) = *old;
        next.n_used++;
    }
    free(h->table);
    *h = next;
    return 0;
}

holding *holdings_add(holdings *h, uint64_t token, uint32_t resource)
{
    holding *found;

    if (grow(h) < 0)
        return NULL;
    found = place_of(h, token, resource);
    if (!found->is_used) {
        *found = (holding){.token = token, .resource = resource, .is_used = true};
        h->n_used++;
    }
    return found;
}

void holdings_drop(holdings *h)
{
    free(h->table);
    *h = (holdings){.n_places = 0};
}
