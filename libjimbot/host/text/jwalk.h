/*
 * jwalk: over the members of a JSON object and the elements of a list, without building anything,
 * for messages in which an event lies that its encoder reads itself.
 *
 * Invariant: a value is a slice of the text, its first byte to its last; nothing past the end is
 * looked at. What is inside a value is not checked: whoever reads it does that.
 */
#ifndef JBI_HOST_JWALK_H
#define JBI_HOST_JWALK_H

#include "host/text/slice.h"

#include <stdint.h>

typedef struct jbi_jwalk {
    const char *pos;
    const char *end;
    bool is_list;
    bool is_begun;
} jbi_jwalk;

/* Enter a text that is one object or list, with white space around it. False when it is none. */
bool jbi_jwalk_object(jbi_slice text, jbi_jwalk *ret);
bool jbi_jwalk_list(jbi_slice text, jbi_jwalk *ret);

/* The next member or element; key is without its quotes, and empty in a list. 1 there is one, 0 the
 * text is at its end, -1 it is malformed. */
int jbi_jwalk_next(jbi_jwalk *w, jbi_slice *ret_key, jbi_slice *ret_value);

/* Whether a key is that name of a proto file, "max_unacked", or its lowerCamelCase. */
bool jbi_jwalk_is(jbi_slice key, const char *name);

/* A number that is a whole one of 64 bits, also in quotes; a boolean. False when it is none. */
bool jbi_jwalk_u64(jbi_slice value, uint64_t *ret);
bool jbi_jwalk_bool(jbi_slice value, bool *ret);

#endif
