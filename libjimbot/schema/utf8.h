/*
 * UTF-8: what is valid, and how much of it.
 *
 * Invariant: "valid" is exactly what RFC 3629 allows: no overlong forms, no surrogates, nothing
 * above U+10FFFF. Both halves of the schema room ask here, so what the encoder lets in, the reader
 * lets out.
 */
#ifndef JBI_SCHEMA_UTF8_H
#define JBI_SCHEMA_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes from the start of text are valid; len_bytes when all are. */
size_t jbi_utf8_prefix(const char *text, size_t len_bytes);

/* Whether all of text is valid. */
static inline bool jbi_utf8_valid(const char *text, size_t len_bytes)
{
    return jbi_utf8_prefix(text, len_bytes) == len_bytes;
}

/*
 * Length (1 to 3) of the ill-formed bytes that text begins with and that one U+FFFD replaces: the
 * "maximal subpart" of the Unicode standard, which is what browsers and Python replace.
 * Only for text whose jbi_utf8_prefix() is 0; len_bytes is not 0.
 */
size_t jbi_utf8_bad_bytes(const char *text, size_t len_bytes);

/* Write a code point (not a surrogate, at most 0x10FFFF); returns its length, 1 to 4. */
size_t jbi_utf8_put(uint32_t code_point, char buf[4]);

#endif
