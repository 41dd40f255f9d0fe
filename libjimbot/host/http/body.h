/*
 * body: what a request may cost, and a request's body that comes in pieces.
 *
 * Invariant: memory is charged against the limit that all requests share before it is kept, and
 * what was charged is given back with the body.
 */
#ifndef JBI_HOST_BODY_H
#define JBI_HOST_BODY_H

#include "host/text/htext.h"

typedef struct jbi_request_limits {
    size_t max_header_bytes;
    size_t max_body_bytes;
    size_t max_buffered_bytes;
    size_t *n_buffered_bytes; /* of all requests that share the limit */
} jbi_request_limits;

/* Whether n more would be above a limit; it may have been lowered below what there is. */
static inline bool jbi_body_exceeds(uint64_t most, uint64_t have, uint64_t n)
{
    return have > most || n > most - have;
}

typedef struct jbi_body {
    jbi_htext text;
    size_t charged_bytes; /* what it costs of the shared limit */
} jbi_body;

void jbi_body_init(jbi_body *b, const jb_alloc *alloc);

/* Append. Returns whether there was memory for it and room below the shared limit. */
bool jbi_body_add(jbi_body *b, const jbi_request_limits *limits, const char *at, size_t n);

/* Forget the contents and give back what they cost. */
void jbi_body_release(jbi_body *b, const jbi_request_limits *limits);

#endif
