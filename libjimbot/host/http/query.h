/*
 * query: the parameters behind the `?` of a request's target.
 *
 * Invariant: each is decoded once, `%41` and `+` both; a percent sign without two hex digits after
 * it is refused, not guessed.
 */
#ifndef JBI_HOST_QUERY_H
#define JBI_HOST_QUERY_H

#include "host/text/slice.h"

typedef struct jbi_query {
    const char *pos;
    const char *end;
    char *room; /* where decoded text goes */
} jbi_query;

/* Begin; `room` has as many bytes as the text, is the caller's, and holds what is returned. */
void jbi_query_begin(jbi_query *q, const char *text, size_t n, char *room);

/* The next name and value, decoded; one without `=` has an empty value, empty ones are passed over.
 * 1 there is one, 0 the end, -1 malformed. */
int jbi_query_next(jbi_query *q, jbi_slice *ret_name, jbi_slice *ret_value);

#endif
