/*
 * limit: how much each client may ask for in a time: a token bucket for each, kept as one number
 * (GCRA): the time at which its bucket is full again.
 *
 * Who has room for one may ask for any number at once, and goes into debt; until that is paid off
 * nothing more is admitted. So a batch larger than the bucket is possible, and over time nobody
 * gets more than the rate.
 *
 * Invariant: the table has a fixed size. A client whose bucket is full again takes no place; when
 * all places that a client may have are taken, the one nearest to full gives way, which forgives
 * that client the rest. Integers only.
 */
#ifndef JBI_HOST_LIMIT_H
#define JBI_HOST_LIMIT_H

#include "host/text/siphash.h"
#include "jimbot/base.h"

enum { JBI_LIMIT_SLOTS = 4096, JBI_LIMIT_PROBES = 8, JBI_LIMIT_CLIENT_BYTES = 16 };

typedef struct jbi_limit_slot {
    uint8_t client[JBI_LIMIT_CLIENT_BYTES];
    uint64_t full_ns; /* when its bucket is full again */
} jbi_limit_slot;

typedef struct jbi_limit {
    const jb_alloc *alloc;
    jbi_siphash_key key;   /* where a client's place is, is nobody's to choose */
    jbi_limit_slot *slots; /* NULL: no limit */
    uint64_t interval_ns;  /* one more in this time */
    uint64_t burst_ns;     /* what a full bucket is worth */
} jbi_limit;

/* Set rate (0: no limit) and size of the buckets (0: a second's worth), at first and again; what
 * clients have used stays. Returns 0 or JB_ENOMEM. */
int jbi_limit_set(jbi_limit *l, uint32_t per_second, uint32_t burst, const jb_alloc *alloc);
void jbi_limit_fini(jbi_limit *l);

/* How long a client has to wait before it may ask for one more; 0: it may now. */
uint64_t jbi_limit_wait_ns(const jbi_limit *l, const uint8_t client[JBI_LIMIT_CLIENT_BYTES],
                           uint64_t now_ns);

/* A client has asked for n. */
void jbi_limit_charge(jbi_limit *l, const uint8_t client[JBI_LIMIT_CLIENT_BYTES], uint64_t n,
                      uint64_t now_ns);

#endif
