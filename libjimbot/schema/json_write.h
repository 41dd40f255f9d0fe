/*
 * JSON text into a buffer of fixed size.
 *
 * Invariant: `len_bytes` is the length that the whole text has, whether it fits or not; not one
 * byte is written at or past `cap_bytes`. So the same code measures and writes.
 */
#ifndef JBI_SCHEMA_JSON_WRITE_H
#define JBI_SCHEMA_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "schema/short.h"

typedef struct jbi_json_out {
    char *buf;
    size_t cap_bytes;
    size_t len_bytes;
} jbi_json_out;

/* Whether n more bytes fit. The second comparison cannot wrap: the first holds. */
static inline bool jbi_json_has_room(const jbi_json_out *out, size_t n)
{
    return out->len_bytes < out->cap_bytes && n <= out->cap_bytes - out->len_bytes;
}

static inline void jbi_json_put(jbi_json_out *out, const void *text, size_t len_bytes)
{
    if (jbi_json_has_room(out, len_bytes))
        jbi_copy(out->buf + out->len_bytes, text, len_bytes);
    out->len_bytes += len_bytes;
}

static inline void jbi_json_put_char(jbi_json_out *out, char c)
{
    if (out->len_bytes < out->cap_bytes)
        out->buf[out->len_bytes] = c;
    out->len_bytes++;
}

/* A quoted string. False, with something written, when text is not UTF-8. */
bool jbi_json_put_string(jbi_json_out *out, const char *text, size_t len_bytes);

/* Numbers; a non-finite double becomes a string. */
void jbi_json_put_int(jbi_json_out *out, int64_t value);
void jbi_json_put_double(jbi_json_out *out, double value);

/* Text that claims to be JSON: as it is, without white space between tokens, when it is one value;
 * otherwise as a string. False when it is not even UTF-8. */
bool jbi_json_put_value(jbi_json_out *out, const char *text, size_t len_bytes);

#endif
