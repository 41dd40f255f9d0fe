/*
 * The inner loops over JSON text: where a string's run of plain bytes ends, where a container ends.
 *
 * A plain byte is ASCII that stands in a JSON string for itself. Each loop exists once in plain C
 * and once or more for a processor's vectors; which one runs changes no result, and
 * tests/unit/schema/test_json_scan.c holds them to that. Invariant: nothing is read at or past end.
 */
#ifndef JBI_SCHEMA_JSON_SCAN_H
#define JBI_SCHEMA_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Whether a byte may stand in a JSON string as it is and needs no look at its neighbours. */
static inline bool jbi_is_plain(char c)
{
    return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

/* The first byte from p on that is not plain, or end: eight bytes at a time. */
static inline const char *jbi_scan_plain_words(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t word;

    for (; end - p >= 8; p += 8) {
        memcpy(&word, p, 8);
        /* x - ones sets the high bit of a zero byte of x; word - 0x20… that of a control byte. A
         * borrow may say so of a plain byte too, which the loop below then finds plain. */
        if (((word | (word - ones * 0x20) | ((word ^ (ones * '"')) - ones) |
              ((word ^ (ones * '\\')) - ones)) &
             high) != 0)
            break;
    }
    while (p != end && jbi_is_plain(*p))
        p++;
    return p;
}

/* The same, by whatever the compiler's target has. */
__attribute__((always_inline)) static inline const char *jbi_scan_plain(const char *p,
                                                                        const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);

    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* Signed: bytes beyond ASCII are below a space too. */
        __m128i found =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, back)),
                         _mm_cmplt_epi8(bytes, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(found);

        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    return jbi_scan_plain_words(p, end);
}

enum { JBI_SCAN_DEPTH_MAX = 1024 }; /* nobody reads what is nested deeper */

/*
 * After the object or list that begins at p, NULL when it does not end or is nested too deep. Only
 * brackets are counted, of either kind, outside of strings.
 */
const char *jbi_scan_container(const char *p, const char *end);

/* The ways to do it; jbi_scan_container() takes the fastest that the processor has. */
typedef const char *(*jbi_scan_container_fn)(const char *p, const char *end);

enum { JBI_SCAN_WAYS_MAX = 4 };

/* All ways this processor has, the plain one first; returns how many. For tests. */
size_t jbi_scan_container_ways(jbi_scan_container_fn ways[JBI_SCAN_WAYS_MAX]);

#endif
