/*
 * Short texts, compared and copied without a call: keys, words, numbers.
 *
 * Compilers turn memcmp() and memcpy() of an unknown length into a call or a string instruction,
 * whose start-up costs more than the bytes. Invariant: a function touches no bytes but those it
 * names.
 */
#ifndef JBI_SCHEMA_SHORT_H
#define JBI_SCHEMA_SHORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { JBI_SHORT_BYTES = 32 };

/* Times this, the bits of a number spread into its upper ones: 2^64 by the golden ratio. */
#define JBI_SPREAD UINT64_C(0x9E3779B97F4A7C15)

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

/* Whether a text begins with a word of n <= 32 bytes; 32 may be read of both. */
static inline bool jbi_short_begins(const char *text, const char *word, size_t n)
{
#if defined(__SSE2__)
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)word);
    uint32_t other = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) ^ 0xFFFF;

    if (n > 16) {
        a = _mm_loadu_si128((const __m128i *)(const void *)(text + 16));
        b = _mm_loadu_si128((const __m128i *)(const void *)(word + 16));
        other |= ((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) ^ 0xFFFF) << 16;
    }
    return (other & (uint32_t)(((uint64_t)1 << n) - 1)) == 0;
#else
    return jbi_short_same(text, word, n);
#endif
}

/* Eight bytes as they stand in a text, the first in the lowest. */
static inline uint64_t jbi_short_eight(const char *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Copy n bytes, of which there are few. */
static inline void jbi_short_copy(char *to, const char *from, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            memcpy(to + i, from + i, 8);
        memcpy(&to[n - 8], &from[n - 8], 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(&to[n - 4], &from[n - 4], 4);
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
