/*
 * slots: where in the coordinator's table the lease of each token is, so that a token which is
 * shown alone is found without looking at all of them.
 *
 * Invariant: a slot is on the list of at most one token, the last one that was put there. So there
 * are never more entries than slots, and nothing has to be taken out when a lease ends: whoever
 * asks compares with the coordinator, which alone knows.
 */
#ifndef JBI_HOST_SLOTS_H
#define JBI_HOST_SLOTS_H

#include "jimbot/base.h"

typedef struct jbi_slots {
    uint64_t *tokens; /* of each slot; 0: none yet */
    uint32_t *next;   /* of a list, slot + 1 */
    uint32_t *heads;  /* slot + 1 */
    uint32_t n;       /* slots */
    uint32_t n_heads; /* a power of two */
    bool is_whole;    /* the lease of every token is in it, says who fills it */
} jbi_slots;

/* Returns 0 or JB_ENOMEM. */
int jbi_slots_init(jbi_slots *s, uint32_t n, const jb_alloc *alloc);
void jbi_slots_fini(jbi_slots *s, const jb_alloc *alloc);

/* That token's lease is there. Ignored before jbi_slots_init(), and of a slot beyond its n. */
void jbi_slots_put(jbi_slots *s, uint64_t token, uint32_t slot);

/* False: it was never put, or another one in its place since. */
bool jbi_slots_find(const jbi_slots *s, uint64_t token, uint32_t *ret_slot);

#endif
