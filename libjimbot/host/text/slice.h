/*
 * slice: some bytes of somebody else's.
 *
 * Invariant: never NUL-terminated, never owned; `data` may be NULL only when `len` is 0.
 */
#ifndef JBI_HOST_SLICE_H
#define JBI_HOST_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct jbi_slice {
    const char *data;
    size_t len;
} jbi_slice;

static inline jbi_slice jbi_slice_str(const char *s)
{
    return (jbi_slice){s, strlen(s)};
}

static inline bool jbi_slice_is(jbi_slice s, const char *word)
{
    return s.len == strlen(word) && memcmp(s.data, word, s.len) == 0;
}

#endif
