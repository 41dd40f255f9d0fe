/*
 * siphash: SipHash-2-4 with a 128-bit result (Aumasson and Bernstein), keyed.
 *
 * Invariant: with a key nobody else knows, nobody can make two inputs of the same hash, so a client
 * cannot choose event ids that fall on each other.
 */
#ifndef JBI_HOST_SIPHASH_H
#define JBI_HOST_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct jbi_siphash_key {
    uint64_t k0;
    uint64_t k1;
} jbi_siphash_key;

/* Hash n bytes into two words. */
void jbi_siphash(const jbi_siphash_key *key, const void *data, size_t n, uint64_t ret[2]);

#endif
