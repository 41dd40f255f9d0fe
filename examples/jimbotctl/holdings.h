/*
 * holdings.h: what each lease of an audit log has of each resource.
 *
 * Invariant: a holding is found by token and resource; one that has ended has the amount 0, and is
 * left behind when the table grows.
 */
#ifndef JIMBOTCTL_HOLDINGS_H
#define JIMBOTCTL_HOLDINGS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct holding {
    uint64_t token;
    uint64_t amount;
    uint32_t resource;
    bool is_used;
} holding;

typedef struct holdings {
    holding *table; /* open addressing; its size is a power of two */
    uint64_t n_places;
    uint64_t n_used;
    uint64_t n_held; /* with an amount; the caller counts */
} holdings;

/* The holding, or NULL. Good until the next one is added. */
holding *holdings_find(const holdings *h, uint64_t token, uint32_t resource);

/* The holding, made with the amount 0 when there is none. NULL when there is no memory. */
holding *holdings_add(holdings *h, uint64_t token, uint32_t resource);

/* Forget all. */
void holdings_drop(holdings *h);

#endif
