/*
 * Schoolbook arithmetic on jbi_bignum; speed does not matter here, it runs for one number in a
 * million. Invariant: see bignum.h.
 */
#include "schema/bignum.h"

#include <assert.h>
#include <string.h>

static void push(jbi_bignum *big, uint32_t limb)
{
    if (limb == 0)
        return;
    assert(big->n < JBI_BIGNUM_LIMBS);
    big->limbs[big->n++] = limb;
}

void jbi_bignum_set(jbi_bignum *big, uint64_t value)
{
    big->n = 0;
    jbi_bignum_mul_add(big, 0, (uint32_t)(value >> 32));
    jbi_bignum_shift_left(big, 32);
    jbi_bignum_mul_add(big, 1, (uint32_t)value);
}

void jbi_bignum_mul_add(jbi_bignum *big, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;

    for (uint32_t i = 0; i < big->n; i++) {
        carry += (uint64_t)big->limbs[i] * factor;
        big->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    push(big, (uint32_t)carry);
}

void jbi_bignum_mul_pow5(jbi_bignum *big, uint32_t exponent)
{
    enum { STEP = 13, POW5_STEP = 1220703125 }; /* 5^13, the largest that fits a limb */

    for (; exponent >= STEP; exponent -= STEP)
        jbi_bignum_mul_add(big, POW5_STEP, 0);
    for (; exponent > 0; exponent--)
        jbi_bignum_mul_add(big, 5, 0);
}

void jbi_bignum_shift_left(jbi_bignum *big, uint32_t bits)
{
    uint32_t words = bits / 32;

    if (big->n == 0)
        return;
    jbi_bignum_mul_add(big, (uint32_t)1 << bits % 32, 0);
    assert(big->n + words <= JBI_BIGNUM_LIMBS);
    memmove(big->limbs + words, big->limbs, big->n * sizeof big->limbs[0]);
    memset(big->limbs, 0, words * sizeof big->limbs[0]);
    big->n += words;
}

int jbi_bignum_compare(const jbi_bignum *a, const jbi_bignum *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (uint32_t i = a->n; i-- > 0;) {
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    }
    return 0;
}
