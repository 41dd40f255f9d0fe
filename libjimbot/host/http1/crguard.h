/*
 * crguard: refuses a carriage return that does not end a line.
 *
 * The parser lets a lone CR end a header field. A proxy in front of us that does not would see
 * other fields than we do, and one request could hide in another. So every byte of a request that
 * is not body goes by here first.
 *
 * Invariant: after jbi_crguard_feed() returned true for all framing bytes and
 * jbi_crguard_is_clean(), each CR among them was followed by LF, however the bytes were cut into
 * reads.
 */
#ifndef JBI_HOST_CRGUARD_H
#define JBI_HOST_CRGUARD_H

#include <stdbool.h>
#include <string.h>

typedef struct jbi_crguard {
    bool is_after_cr; /* the last byte seen was a CR */
} jbi_crguard;

/* Look at the next n framing bytes; false when a CR among them is alone. */
static inline bool jbi_crguard_feed(jbi_crguard *g, const char *bytes, size_t n)
{
    const char *end = bytes + n;
    const char *cr = bytes;

    if (n == 0)
        return true;
    if (g->is_after_cr && *bytes != '\n')
        return false;
    g->is_after_cr = false;
    while ((cr = memchr(cr, '\r', (size_t)(end - cr)))) {
        cr++;
        if (cr == end) {
            g->is_after_cr = true;
            return true;
        }
        if (*cr != '\n')
            return false;
    }
    return true;
}

/* Whether no CR is waiting for its LF; must hold where framing ends and body begins. */
static inline bool jbi_crguard_is_clean(const jbi_crguard *g)
{
    return !g->is_after_cr;
}

#endif
