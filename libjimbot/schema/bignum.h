/*
 * Non-negative integers of fixed capacity, for the few numbers that 192 bits cannot decide.
 *
 * Invariant: limbs[n - 1] is not 0, and n never passes JBI_BIGNUM_LIMBS; the callers' bounds make
 * sure of the latter (see number.c), an assertion watches it.
 */
#ifndef JBI_SCHEMA_BIGNUM_H
#define JBI_SCHEMA_BIGNUM_H

#include <stdint.h>

/* 4096 bits: number.c needs 2700. */
enum { JBI_BIGNUM_LIMBS = 128 };

typedef struct jbi_bignum {
    uint32_t n;
    uint32_t limbs[JBI_BIGNUM_LIMBS]; /* the least significant first */
} jbi_bignum;

void jbi_bignum_set(jbi_bignum *big, uint64_t value);

/* big = big * factor + addend */
void jbi_bignum_mul_add(jbi_bignum *big, uint32_t factor, uint32_t addend);

/* big = big * 5^exponent */
void jbi_bignum_mul_pow5(jbi_bignum *big, uint32_t exponent);

/* big = big * 2^bits */
void jbi_bignum_shift_left(jbi_bignum *big, uint32_t bits);

/* Less than 0, 0, or greater than 0, as a is less than, equal to, or greater than b. */
int jbi_bignum_compare(const jbi_bignum *a, const jbi_bignum *b);

#endif
