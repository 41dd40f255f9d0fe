/*
 * lineguard: refuses lines that another reader of HTTP could cut elsewhere than ours.
 *
 * The parser lets a lone CR or a lone LF end a field, joins a line that begins with a blank to the
 * one before, and takes a field without a name. A proxy in front of us that does not would see
 * other fields than we do, and one request could hide in another. So every byte of a request that
 * is not body goes by here first.
 *
 * Invariant: after jbi_lineguard_feed() returned NULL for all framing bytes and
 * jbi_lineguard_is_clean(), each CR among them was followed by LF and each LF came after a CR, and
 * no line began with a blank or a colon, however the bytes were cut into reads.
 */
#ifndef JBI_HOST_LINEGUARD_H
#define JBI_HOST_LINEGUARD_H

#include <stdbool.h>
#include <string.h>

typedef struct jbi_lineguard {
    bool is_after_cr; /* the last byte seen was a CR */
    bool is_inside;   /* the last byte seen did not end a line */
} jbi_lineguard;

/* Look at the next n framing bytes. NULL, or what is wrong with a line among them. */
static inline const char *jbi_lineguard_feed(jbi_lineguard *g, const char *bytes, size_t n)
{
    const char *end = bytes + n;

    while (bytes < end) {
        const char *lf = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *stop = lf ? lf : end;
        const char *cr = memchr(bytes, '\r', (size_t)(stop - bytes));
        bool had_cr = g->is_after_cr;

        if (!g->is_inside && (*bytes == ' ' || *bytes == '\t' || *bytes == ':'))
            return "a line of the header begins with a blank or a colon";
        if ((had_cr && bytes != lf) || (cr && cr + 1 != stop))
            return "a carriage return stands alone in the header";
        if (lf && !cr && !had_cr)
            return "a line feed stands alone in the header";
        g->is_after_cr = !lf && cr;
        g->is_inside = !lf;
        bytes = lf ? lf + 1 : end;
    }
    return NULL;
}

/* Whether no CR is waiting for its LF; must hold where framing ends and body begins. */
static inline bool jbi_lineguard_is_clean(const jbi_lineguard *g)
{
    return !g->is_after_cr;
}

#endif
