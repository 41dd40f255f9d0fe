/*
 * siphash: see siphash.h. Written after the paper; the reference vectors are in the unit test.
 */
#include "host/text/siphash.h"

#include <string.h>

static inline uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

static inline void sip_rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[0] = rotl(v[0], 32);
        v[2] += v[3];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[2] = rotl(v[2], 32);
    }
}

/* Little-endian words, so that the value is the same on every machine. */
static inline uint64_t load_le(const uint8_t *p, size_t n)
{
    uint64_t w = 0;

    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)p[i] << (8 * i);
    return w;
}

void jbi_siphash(const jbi_siphash_key *key, const void *data, size_t n, uint64_t ret[2])
{
    const uint8_t *p = data;
    uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du ^ 0xee,
                     key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};
    size_t left = n;
    uint64_t w;

    for (; left >= 8; left -= 8, p += 8) {
        w = load_le(p, 8);
        v[3] ^= w;
        sip_rounds(v, 2);
        v[0] ^= w;
    }
    w = load_le(p, left) | (uint64_t)n << 56;
    v[3] ^= w;
    sip_rounds(v, 2);
    v[0] ^= w;
    v[2] ^= 0xee;
    sip_rounds(v, 4);
    ret[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    ret[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}
