/*
 * error.h: filling in a caller's jb_error.
 *
 * Invariant: a NULL error is fine everywhere, and a message is always NUL-terminated and within its
 * array.
 */
#ifndef JBI_BASE_ERROR_H
#define JBI_BASE_ERROR_H

#include "jimbot/base.h"

/* Fill in `err` (may be NULL) and return `code`, so that a failing path reads `return
 * jbi_error_set(…)`. */
int jbi_error_set(jb_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with the byte offset at which the input is wrong (or the bytes that would have been
 * enough). */
int jbi_error_at(jb_error *err, int code, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for a refused system call: keeps os_errno and appends its text. `code` is JB_ESYS or
 * more exact. */
int jbi_error_os(jb_error *err, int code, int os_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
