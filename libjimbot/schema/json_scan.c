/*
 * See json_scan.h. The vectors look at 64 bytes at once: a bit for each quote makes a mask of what
 * lies in strings, and brackets outside of it are counted, not visited, until so many close that
 * the end may be among them. A block with a backslash goes byte by byte: escapes are rare.
 */
#include "schema/json_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct leap {
    size_t depth;    /* brackets that are open */
    bool is_deep;    /* more than may be: the leap is over */
    bool in_string;  /* the next byte lies in a string */
    bool is_escaped; /* the next byte lies in a string, after a backslash */
};

/* Over the bytes from p to end; the place after the container's last bracket, or NULL. */
static const char *leap_bytes(struct leap *l, const char *p, const char *end)
{
    for (; p != end; p++) {
        char c = *p;

        if (l->is_escaped) {
            l->is_escaped = false;
        } else if (l->in_string) {
            l->in_string = c != '"';
            l->is_escaped = c == '\\';
        } else if (c == '"') {
            l->in_string = true;
        } else if (c == '{' || c == '[') {
            l->is_deep = ++l->depth > JBI_SCAN_DEPTH_MAX;
            if (l->is_deep)
                return NULL;
        } else if ((c == '}' || c == ']') && --l->depth == 0) {
            return p + 1;
        }
    }
    return NULL;
}

static const char *container_bytes(const char *p, const char *end)
{
    struct leap l = {.depth = 0};

    return leap_bytes(&l, p, end);
}

#if defined(__x86_64__)
#define AVX2   __attribute__((target("avx2,pclmul,popcnt,bmi")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx2,pclmul,popcnt,bmi")))

/* What 64 bytes hold, a bit each. */
struct block {
    uint64_t backslash, quote, open, close;
};

AVX2 static inline uint64_t bits_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

AVX2 static inline uint64_t equal(__m256i low, __m256i high, char c)
{
    __m256i wanted = _mm256_set1_epi8(c);

    return bits_of(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted));
}

AVX2 static inline struct block block_of_avx2(const char *p)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    /* '{' and '[' differ in this bit alone, so do '}' and ']'. */
    __m256i bit = _mm256_set1_epi8(0x20);
    __m256i low_or = _mm256_or_si256(low, bit), high_or = _mm256_or_si256(high, bit);

    return (struct block){equal(low, high, '\\'), equal(low, high, '"'),
                          equal(low_or, high_or, '{'), equal(low_or, high_or, '}')};
}

AVX512 static inline struct block block_of_avx512(const char *p)
{
    __m512i bytes = _mm512_loadu_si512(p);
    __m512i with_bit = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));

    return (struct block){_mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\')),
                          _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"')),
                          _mm512_cmpeq_epi8_mask(with_bit, _mm512_set1_epi8('{')),
                          _mm512_cmpeq_epi8_mask(with_bit, _mm512_set1_epi8('}'))};
}

/* Bit n: whether an odd number of the bits up to n is set. */
AVX2 static inline uint64_t parity_up_to(uint64_t bits)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)bits), _mm_set1_epi8((char)0xff), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* Where among these brackets the depth reaches 0: the bit's index, or 64 when nowhere. */
AVX2 static inline unsigned end_among(size_t *depth, uint64_t open, uint64_t close)
{
    for (uint64_t both = open | close; both != 0; both &= both - 1) {
        unsigned at = (unsigned)_tzcnt_u64(both);

        if ((open >> at & 1) != 0)
            ++*depth;
        else if (--*depth == 0)
            return at;
    }
    return 64;
}

/* The walk by blocks, once for each way of looking at one: the compiler wants to know which vectors
 * a function has before it begins. */
#define CONTAINER_BY_BLOCKS(target, name, block_of)                                                \
    target static const char *name(const char *p, const char *end)                                 \
    {                                                                                              \
        struct leap l = {.depth = 0};                                                              \
                                                                                                   \
        for (; end - p >= 64; p += 64) {                                                           \
            struct block b = block_of(p);                                                          \
            uint64_t inside = parity_up_to(b.quote) ^ (0 - (uint64_t)l.in_string);                 \
            const char *after;                                                                     \
                                                                                                   \
            b.open &= ~inside;                                                                     \
            b.close &= ~inside;                                                                    \
            if (b.backslash != 0 || l.is_escaped ||                                                \
                l.depth + (size_t)_mm_popcnt_u64(b.open) > JBI_SCAN_DEPTH_MAX) {                   \
                after = leap_bytes(&l, p, p + 64);                                                 \
                if (after != NULL || l.is_deep)                                                    \
                    return after;                                                                  \
                continue;                                                                          \
            }                                                                                      \
            if ((size_t)_mm_popcnt_u64(b.close) >= l.depth) {                                      \
                unsigned at = end_among(&l.depth, b.open, b.close);                                \
                                                                                                   \
                if (at != 64)                                                                      \
                    return p + at + 1;                                                             \
            } else {                                                                               \
                l.depth += (size_t)_mm_popcnt_u64(b.open) - (size_t)_mm_popcnt_u64(b.close);       \
            }                                                                                      \
            l.in_string = inside >> 63 != 0;                                                       \
        }                                                                                          \
        return leap_bytes(&l, p, end);                                                             \
    }

CONTAINER_BY_BLOCKS(AVX2, container_avx2, block_of_avx2)
CONTAINER_BY_BLOCKS(AVX512, container_avx512, block_of_avx512)

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
           __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
#endif

size_t jbi_scan_container_ways(jbi_scan_container_fn ways[JBI_SCAN_WAYS_MAX])
{
    size_t n = 0;

    ways[n++] = container_bytes;
#if defined(__x86_64__)
    if (has_avx2())
        ways[n++] = container_avx2;
    if (has_avx512())
        ways[n++] = container_avx512;
#endif
    return n;
}

const char *jbi_scan_container(const char *p, const char *end)
{
#if defined(__x86_64__)
    if (end - p >= 64 && has_avx512())
        return container_avx512(p, end);
    if (end - p >= 64 && has_avx2())
        return container_avx2(p, end);
#endif
    return container_bytes(p, end);
}
