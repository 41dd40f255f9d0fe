/*
 * resume: bodies that were published in part, because the bus filled up in the middle of them.
 *
 * Events without an id cannot be recognised one by one when such a body is sent again. But the
 * retry is the same bytes, and events are published in order, so it is enough to remember the body
 * and how far it came.
 *
 * Invariant: an entry is used once, and lives JBI_RESUME_NS at most, so that a body of the same
 * bytes that is no retry is not taken for one later. When more bodies than there are entries wait
 * for their retry, the oldest is forgotten.
 */
#ifndef JBI_HOST_RESUME_H
#define JBI_HOST_RESUME_H

#include "host/text/siphash.h"

#include <stdbool.h>

enum { JBI_RESUME_ENTRIES = 64 };

/* The mod gives up after its third retry, seven seconds after the first try. */
#define JBI_RESUME_NS ((uint64_t)30 * 1000000000u)

typedef struct jbi_resume_entry {
    uint64_t hash[2];
    size_t body_bytes;
    uint64_t until_ns; /* 0: free */
    uint32_t n_done;   /* events of it that lie in the ring */
} jbi_resume_entry;

typedef struct jbi_resume {
    jbi_siphash_key key; /* set by the owner */
    uint32_t n_used;     /* entries not free; 0 spares the hash */
    jbi_resume_entry entries[JBI_RESUME_ENTRIES];
} jbi_resume;

/* How many events of this body lie in the ring already; forgets it. */
uint32_t jbi_resume_take(jbi_resume *r, const char *body, size_t n, uint64_t now_ns);

/* Remember that the first n_done events of this body lie in the ring. */
void jbi_resume_put(jbi_resume *r, const char *body, size_t n, uint32_t n_done, uint64_t now_ns);

#endif
