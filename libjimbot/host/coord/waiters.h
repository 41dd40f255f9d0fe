/*
 * waiters: calls that the host keeps until it is their turn.
 *
 * Invariant: whoever waits is in one list, has a ticket of the coordinator, and leaves both at
 * once.
 */
#ifndef JBI_HOST_COORD_WAITERS_H
#define JBI_HOST_COORD_WAITERS_H

#include "jimbot/coordinator.h"
#include "jimbot/quota.h"
#include "jimbot/service.h"

struct jbi_coord_op;

/* What was asked for and given, as far as an answer names it. */
typedef struct jbi_coord_grant {
    uint32_t component;
    uint32_t lease_class;
    uint32_t n_amounts;
    jb_amount amounts[JB_QUOTA_AMOUNTS_MAX];
} jbi_coord_grant;

typedef struct jbi_coord_waiter {
    struct jbi_coord_waiter *next;
    struct jbi_coord_waiter *prev;
    struct jbi_coord_waiter **list; /* NULL: in none yet */
    jb_coord_service *service;
    const struct jbi_coord_op *op;
    jb_call *call;
    jb_ticket ticket;
    jbi_coord_grant grant;
    uint64_t begun_ns;
} jbi_coord_waiter;

/* In no list yet; NULL: there is no memory. */
jbi_coord_waiter *jbi_coord_waiter_new(jb_coord_service *s, const struct jbi_coord_op *op,
                                       jb_call *call, const jbi_coord_grant *grant);

/* Wait in a list from now on; `on_gone` is called when the client goes. */
void jbi_coord_waiter_join(jbi_coord_waiter *w, jbi_coord_waiter **list,
                           void (*on_gone)(jb_call *call, void *w));

/* Out of its list, and freed. NULL is fine. */
void jbi_coord_waiter_free(jbi_coord_waiter *w);

#endif
