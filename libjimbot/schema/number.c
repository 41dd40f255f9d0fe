/*
 * Reading JSON numbers.
 *
 * The first 19 significant digits w and the decimal exponent bound the value from below and above.
 * Both bounds are multiplied by the 128-bit power of ten (which itself is a bound from below) and
 * rounded to a double. Rounding is monotonic, so when the two agree, that is the correctly rounded
 * value. When they do not, a halfway point lies between them, and one comparison of big integers
 * decides. Only integer arithmetic is used, so neither the locale nor the floating-point
 * environment of the host matters.
 *
 * Invariant: `struct decimal` describes the text exactly: w * 10^exp10 <= |value| < (w + 1) *
 * 10^exp10, with equality on the left when !more.
 */
#include "schema/number.h"

#include <assert.h>
#include <string.h>

#include "schema/bignum.h"
#include "schema/power.h"

enum {
    W_DIGITS = 19,     /* most decimal digits that always fit 64 bits */
    KEPT_DIGITS = 780, /* no halfway point between doubles has more than 768 significant digits */
    EXP10_HUGE = 309,  /* w >= 1: 10^309 is beyond every double */
    EXP10_TINY = -343, /* w < 10^19: below half the smallest double */
    MANTISSA_BITS = 52,
    EXPONENT_MIN = -1074, /* of the last bit of the smallest double */
    EXPONENT_BIAS = 1075  /* of the last bit of a normal double */
};

static const int64_t EXPONENT_CAP = 1000000000000000; /* far beyond any length of text */

struct decimal {
    const char *digits; /* the text of the digits, point included, up to digits_end */
    const char *digits_end;
    uint64_t w;    /* the first significant digits, at most W_DIGITS of them */
    int64_t exp10; /* of the last digit of w */
    int n_w;       /* digits in w */
    bool negative;
    bool more; /* a digit that is not 0 follows those in w */
    bool integer;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Take the digits that w has room for, the first of which is significant. */
static const char *take_significant(struct decimal *d, const char *pos, const char *end,
                                    bool fraction)
{
    const char *begin = pos;
    uint64_t w = d->w;
    int n;

    if (end - pos > W_DIGITS - d->n_w)
        end = pos + (W_DIGITS - d->n_w);
    for (; pos != end && is_digit(*pos); pos++)
        w = w * 10 + (uint64_t)(*pos - '0');
    n = (int)(pos - begin);
    d->w = w;
    d->n_w += n;
    d->exp10 -= fraction ? n : 0;
    return pos;
}

/* Take digits into d; those of a fraction lower the exponent. */
static const char *take_digits(struct decimal *d, const char *pos, const char *end, bool fraction)
{
    for (; d->w == 0 && pos != end && *pos == '0'; pos++)
        d->exp10 -= fraction;
    pos = take_significant(d, pos, end, fraction);
    for (; pos != end && is_digit(*pos); pos++) {
        d->more |= *pos != '0';
        d->exp10 += !fraction;
    }
    return pos;
}

/* Take "[+-]digits" as the exponent; NULL when there are no digits. */
static const char *take_exponent(struct decimal *d, const char *pos, const char *end)
{
    bool negative = false;
    int64_t exponent = 0;

    if (pos != end && (*pos == '+' || *pos == '-'))
        negative = *pos++ == '-';
    if (pos == end || !is_digit(*pos))
        return NULL;
    for (; pos != end && is_digit(*pos); pos++) {
        if (exponent < EXPONENT_CAP)
            exponent = exponent * 10 + (*pos - '0');
    }
    d->exp10 += negative ? -exponent : exponent;
    return pos;
}

/* Read the text of a number; returns its end or NULL. */
static const char *scan(struct decimal *d, const char *pos, const char *end)
{
    *d = (struct decimal){.integer = true};
    if (pos != end && *pos == '-') {
        d->negative = true;
        pos++;
    }
    if (pos == end || !is_digit(*pos))
        return NULL;
    d->digits = pos;
    pos = *pos == '0' ? pos + 1 : take_digits(d, pos, end, false);
    if (pos != end && *pos == '.') {
        pos++;
        if (pos == end || !is_digit(*pos))
            return NULL;
        d->integer = false;
        pos = take_digits(d, pos, end, true);
    }
    d->digits_end = pos;
    if (pos != end && (*pos == 'e' || *pos == 'E')) {
        d->integer = false;
        return take_exponent(d, pos + 1, end);
    }
    return pos;
}

/* Round hi:lo * 2^exponent to the bits of a double, ties to even; the top bit of hi is set.
 * `sticky` says that something not 0 lies below lo. */
static uint64_t round_bits(uint64_t hi, bool sticky, int exponent)
{
    int top = exponent + 63; /* binary exponent of the value */
    int shift = top < -1022 ? 11 + (-1022 - top) : 11;
    uint64_t mantissa, rest, half;

    if (top > 1023)
        return (uint64_t)0x7ff << MANTISSA_BITS;
    if (shift > 64)
        return 0;
    mantissa = shift == 64 ? 0 : hi >> shift;
    rest = shift == 64 ? hi : hi & (((uint64_t)1 << shift) - 1);
    half = (uint64_t)1 << (shift - 1);
    if (rest > half || (rest == half && (sticky || (mantissa & 1) != 0)))
        mantissa++;
    /* A carry out of the mantissa lands in the exponent, which is where it belongs. */
    return top < -1022 ? mantissa : ((uint64_t)(top + 1022) << MANTISSA_BITS) + mantissa;
}

/* Round w * (power + above) * 2^exponent, where power has 128 bits and w its top bit set. */
static uint64_t round_product(uint64_t w, jbi_power power, unsigned above, int exponent)
{
    jbi_u128 low = (jbi_u128)w * power.lo;
    jbi_u128 high = (jbi_u128)w * power.hi;
    jbi_u128 sum = low + (above != 0 ? w : 0); /* low <= (2^64 - 1)^2, no overflow */

    high += sum >> 64;
    exponent += 128;
    if (high >> 127 == 0) {
        /* The 192-bit product has 191 bits; the bit that moves in counts like the others below. */
        uint64_t in = (uint64_t)sum >> 63;

        high = high << 1 | in;
        sum = (uint64_t)sum << 1;
        exponent--;
    }
    return round_bits((uint64_t)(high >> 64), (uint64_t)high != 0 || (uint64_t)sum != 0, exponent);
}

/* The digits of d as a big integer; *ret_exp10 is the exponent of its last digit. Digits beyond
 * KEPT_DIGITS become one trailing 1: they only break a tie. */
static void digits_to_bignum(const struct decimal *d, jbi_bignum *big, int64_t *ret_exp10)
{
    int n = 0;
    bool rest = false;

    jbi_bignum_set(big, d->w);
    *ret_exp10 = d->exp10;
    if (!d->more)
        return;
    jbi_bignum_set(big, 0);
    for (const char *pos = d->digits; pos != d->digits_end; pos++) {
        if (*pos == '.' || (n == 0 && *pos == '0'))
            continue;
        if (n < KEPT_DIGITS) {
            jbi_bignum_mul_add(big, 10, (uint32_t)(*pos - '0'));
            n++;
        } else {
            rest |= *pos != '0';
        }
    }
    *ret_exp10 -= n - W_DIGITS;
    if (rest) {
        jbi_bignum_mul_add(big, 10, 1);
        *ret_exp10 -= 1;
    }
}

/*
 * Compare |d| with mantissa * 2^exponent, exactly.
 *
 * d is within a factor of 4 of the other side and neither infinite nor zero, so with at most 781
 * digits no intermediate passes 2700 bits: a negative exp10 is at least -1105, and 5^1105 * 2^54
 * has 2620 bits.
 */
static int compare(const struct decimal *d, uint64_t mantissa, int exponent)
{
    jbi_bignum left, right;
    int64_t exp10, shift;

    digits_to_bignum(d, &left, &exp10);
    jbi_bignum_set(&right, mantissa);
    shift = exp10 - exponent;
    if (exp10 >= 0)
        jbi_bignum_mul_pow5(&left, (uint32_t)exp10);
    else
        jbi_bignum_mul_pow5(&right, (uint32_t)-exp10);
    if (shift >= 0)
        jbi_bignum_shift_left(&left, (uint32_t)shift);
    else
        jbi_bignum_shift_left(&right, (uint32_t)-shift);
    return jbi_bignum_compare(&left, &right);
}

/* Take the bits of a finite double apart. */
static uint64_t mantissa_of(uint64_t bits, int *ret_exponent)
{
    int biased = (int)(bits >> MANTISSA_BITS);
    uint64_t fraction = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);

    *ret_exponent = biased == 0 ? EXPONENT_MIN : biased - EXPONENT_BIAS;
    return biased == 0 ? fraction : fraction | (uint64_t)1 << MANTISSA_BITS;
}

/* The value is about halfway between `below` and the double after it: which of them is it? */
static uint64_t decide(const struct decimal *d, uint64_t below)
{
    int exponent, order;
    uint64_t mantissa = mantissa_of(below, &exponent);

    order = compare(d, 2 * mantissa + 1, exponent - 1);
    return below + (order > 0 || (order == 0 && (mantissa & 1) != 0));
}

/* Bits of the double nearest to |d|. */
static uint64_t to_bits(const struct decimal *d)
{
    int k, lead, exponent;
    uint64_t w, w_above, low, high;
    jbi_power power;

    if (d->w == 0 || d->exp10 <= EXP10_TINY)
        return 0;
    if (d->exp10 >= EXP10_HUGE)
        return (uint64_t)0x7ff << MANTISSA_BITS;
    k = (int)d->exp10;
    lead = __builtin_clzll(d->w);
    w = d->w << lead;
    w_above = d->more ? (d->w + 1) << lead : w;
    power = jbi_power_of(k);
    exponent = jbi_power_log2(k) - 127 - lead;

    low = round_product(w, power, 0, exponent);
    /* w + 1 may need one bit more when it is a power of two; then the bounds are not compared. */
    if (w_above >= w) {
        high = round_product(w_above, power, !jbi_power_is_exact(k), exponent);
        if (low == high)
            return low;
    }
    return low == (uint64_t)0x7ff << MANTISSA_BITS ? low : decide(d, low);
}

/* Whether |d| is an integer that fits, and which. */
static bool to_int64(const struct decimal *d, int64_t *ret)
{
    uint64_t w = d->w;
    int64_t exp10 = d->exp10;

    if (d->more || (w == 0 && d->negative))
        return false;
    if (w == 0)
        exp10 = 0;
    for (; exp10 < 0 && w % 10 == 0; exp10++)
        w /= 10;
    if (exp10 < 0 || exp10 > W_DIGITS)
        return false;
    for (; exp10 > 0; exp10--) {
        if (w > UINT64_MAX / 10)
            return false;
        w *= 10;
    }
    if (w > (uint64_t)INT64_MAX + d->negative)
        return false;
    *ret = d->negative ? (int64_t)(0 - w) : (int64_t)w;
    return true;
}

/* Whether the double with these bits is |d| itself. */
static bool is_exact(const struct decimal *d, uint64_t bits)
{
    int exponent;
    uint64_t mantissa;

    if (bits == (uint64_t)0x7ff << MANTISSA_BITS)
        return false;
    if (d->w == 0)
        return true;
    mantissa = mantissa_of(bits, &exponent);
    return compare(d, mantissa, exponent) == 0;
}

size_t jbi_number_scan(const char *text, size_t len_bytes)
{
    struct decimal d;
    const char *end = len_bytes != 0 ? scan(&d, text, text + len_bytes) : NULL;

    return end != NULL ? (size_t)(end - text) : 0;
}

size_t jbi_number_parse(const char *text, size_t len_bytes, jbi_number *ret)
{
    struct decimal d;
    const char *end = len_bytes != 0 ? scan(&d, text, text + len_bytes) : NULL;
    jbi_number number = {0};
    uint64_t bits;

    if (end == NULL)
        return 0;
    number.is_integer = d.integer;
    number.is_int64 = to_int64(&d, &number.integer);
    if (!d.more && d.exp10 == 0 && d.w <= (uint64_t)1 << 53) {
        /* Most numbers: exact whatever the rounding mode. */
        number.value = (double)d.w;
        number.is_exact = d.integer;
        if (d.negative)
            number.value = -number.value;
    } else {
        bits = to_bits(&d);
        number.is_exact = d.integer && is_exact(&d, bits);
        bits |= (uint64_t)d.negative << 63;
        memcpy(&number.value, &bits, sizeof bits);
    }
    *ret = number;
    return (size_t)(end - text);
}
