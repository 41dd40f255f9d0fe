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
#include <string.h>

/* How many bytes from the start of text are valid; len_bytes when all are. */
size_t jbi_utf8_prefix(const char *text, size_t len_bytes);

/* Whether a text of at most 16 bytes is ASCII. */
static inline bool jbi_utf8_short_ascii(const char *text, size_t len_bytes)
{
    uint64_t a, b;
    uint32_t c, d;

    if (len_bytes >= 8) {
        memcpy(&a, text, 8);
        memcpy(&b, text + len_bytes - 8, 8);
        return ((a | b) & 0x8080808080808080u) == 0;
    }
    if (len_bytes >= 4) {
        memcpy(&c, text, 4);
        memcpy(&d, text + len_bytes - 4, 4);
        return ((c | d) & 0x80808080u) == 0;
    }
    return len_bytes == 0 || ((text[0] | text[len_bytes / 2] | text[len_bytes - 1]) & 0x80) == 0;
}

/* Whether all of text is valid. Most texts are short and ASCII, which takes no call. */
static inline bool jbi_utf8_valid(const char *text, size_t len_bytes)
{
    if (len_bytes <= 16 && jbi_utf8_short_ascii(text, len_bytes))
        return true;
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
