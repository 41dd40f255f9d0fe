/*
 * lines.c: see lines.h. A line is handed out as soon as it is there: whoever types, or a program
 * that writes one line a minute, is not kept waiting for a full buffer.
 */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_BYTES = 65536 };

/* Makes room behind what is there. Returns 0, or -1 when a line would pass the limit or there is no
 * memory (errno is 0 or ENOMEM). */
static int make_room(lines *l)
{
    size_t kept = l->filled - l->from;
    size_t cap_bytes = l->cap_bytes ? l->cap_bytes * 2 : FIRST_BYTES;
    char *buf;

    if (l->from) {
        memmove(l->buf, l->buf + l->from, kept);
        l->from = 0;
        l->filled = kept;
    }
    errno = 0;
    if (l->filled < l->cap_bytes)
        return 0;
    if (kept > l->max_bytes)
        return -1;
    buf = realloc(l->buf, cap_bytes);
    if (!buf)
        return -1;
    l->buf = buf;
    l->cap_bytes = cap_bytes;
    return 0;
}

static int read_more(lines *l)
{
    ssize_t n;

    if (l->is_skipping)
        l->from = l->filled = 0;
    if (make_room(l) < 0) {
        if (errno)
            return LINES_FAILED;
        l->is_skipping = true;
        return 1;
    }
    n = read(l->fd, l->buf + l->filled, l->cap_bytes - l->filled);
    if (n < 0)
        return LINES_FAILED;
    l->is_at_end = n == 0;
    l->filled += (size_t)n;
    return 1;
}

/* Takes n bytes and a line end, if there is one, as the next line. */
static int take(lines *l, size_t n, size_t n_end, char **ret_line, size_t *ret_bytes)
{
    bool was_skipping = l->is_skipping;

    *ret_line = l->buf + l->from;
    *ret_bytes = n;
    l->from += n + n_end;
    l->number++;
    l->is_skipping = false;
    return was_skipping || n > l->max_bytes ? LINES_TOO_LONG : 1;
}

int lines_next(lines *l, char **ret_line, size_t *ret_bytes)
{
    size_t looked = 0;

    for (;;) {
        size_t n = l->filled - l->from;
        char *end = n > looked ? memchr(l->buf + l->from + looked, '\n', n - looked) : NULL;
        int rc;

        if (end)
            return take(l, (size_t)(end - l->buf) - l->from, 1, ret_line, ret_bytes);
        if (l->is_at_end)
            return n || l->is_skipping ? take(l, n, 0, ret_line, ret_bytes) : 0;
        looked = l->is_skipping ? 0 : n;
        rc = read_more(l);
        if (rc < 0)
            return rc;
        if (l->is_skipping)
            looked = 0;
    }
}

void lines_fini(lines *l)
{
    free(l->buf);
    l->buf = NULL;
}
