/*
 * lines.h: the lines of a file descriptor, none longer than a limit.
 *
 * Invariant: a line that is too long is told of once and stepped over whole; the lines after it
 * keep their numbers.
 */
#ifndef JIMBOTCTL_LINES_H
#define JIMBOTCTL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINES_TOO_LONG = -1, LINES_FAILED = -2 };

typedef struct lines {
    int fd;
    size_t max_bytes;
    char *buf;
    size_t cap_bytes;
    size_t from;   /* of what is not yet handed out */
    size_t filled; /* end of what was read */
    uint64_t number;
    bool is_skipping;
    bool is_at_end;
} lines;

/* Returns 1 and a line, which is valid until the next call and has no line end; 0 at the end of the
 * file; LINES_TOO_LONG; or LINES_FAILED, errno says why (EINTR: a signal came). */
int lines_next(lines *l, char **ret_line, size_t *ret_bytes);

void lines_fini(lines *l);

#endif
