/*
 * Short texts, compared and copied without a call: keys, words, numbers.
 *
 * Compilers turn memcmp() and memcpy() of an unknown length into a call or a string instruction,
 * whose start-up costs more than the bytes. Invariant: exactly the bytes named are touched.
 */
#ifndef JBI_SCHEMA_SHORT_H
#define JBI_SCHEMA_SHORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { JBI_SHORT_BYTES = 32 };

/* Whether two texts of n bytes are the same. */
static inline bool jbi_short_same(const char *a, const char *b, size_t n)
{
    uint64_t x, y;
    uint32_t u, v;

    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            memcpy(&x, a + i, 8);
            memcpy(&y, b + i, 8);
            if (x != y)
                return false;
        }
        memcpy(&x, a + n - 8, 8);
        memcpy(&y, b + n - 8, 8);
        return x == y;
    }
    if (n >= 4) {
        memcpy(&u, a, 4);
        memcpy(&v, b, 4);
        if (u != v)
            return false;
        memcpy(&u, a + n - 4, 4);
        memcpy(&v, b + n - 4, 4);
        return u == v;
    }
    for (size_t i = 0; i < n; i++) {
        if (a[i] != b[i])
            return false;
    }
    return true;
}

/* Copy n bytes, of which there are few. */
static inline void jbi_short_copy(char *to, const char *from, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            memcpy(to + i, from + i, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = from[i];
    }
}

/* Copy n bytes, few as a rule. */
static inline void jbi_copy(char *to, const char *from, size_t n)
{
    if (n <= JBI_SHORT_BYTES)
        jbi_short_copy(to, from, n);
    else
        memcpy(to, from, n);
}

#endif
