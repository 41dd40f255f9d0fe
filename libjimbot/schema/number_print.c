/*
 * Printing numbers: the shortest decimal that reads back as the same double, nearest to it among
 * those, by the method of R. Giulietti ("The Schubfach way to render doubles").
 *
 * The interval of reals that round to the double is scaled by a power of ten, kept to two bits
 * below the unit, with everything lost below them gathered into the lowest bit ("round to odd").
 * Comparisons against whole multiples of the unit are then exact. Invariant: nothing here depends
 * on the locale or the floating-point environment; only the bits of the double are looked at.
 */
#include "schema/number.h"

#include <string.h>

#include "schema/power.h"

/* digits * 10^exp10, digits not divisible by 10. */
struct shortest {
    uint64_t digits;
    int exp10;
};

static const char pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536"
    "37383940414243444546474849505152535455565758596061626364656667686970717273"
    "7475767778798081828384858687888990919293949596979899";

static size_t count_digits(uint64_t value)
{
    size_t n = 1;

    for (; value >= 100; value /= 100)
        n += 2;
    return n + (value >= 10);
}

/* Write exactly n digits, with leading zeros. */
static void put_digits(char *buf, size_t n, uint64_t value)
{
    while (n >= 2) {
        n -= 2;
        memcpy(buf + n, pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (n != 0)
        buf[0] = (char)('0' + value % 10);
}

size_t jbi_number_print_uint(uint64_t value, char *buf)
{
    size_t n = count_digits(value);

    put_digits(buf, n, value);
    return n;
}

size_t jbi_number_print_int(int64_t value, char *buf)
{
    if (value >= 0)
        return jbi_number_print_uint((uint64_t)value, buf);
    buf[0] = '-';
    return 1 + jbi_number_print_uint(0 - (uint64_t)value, buf + 1);
}

/* floor(power * factor / 2^128), its lowest bit set when the division is not exact. */
static uint64_t round_to_odd(jbi_power power, uint64_t factor)
{
    jbi_u128 sum = (jbi_u128)power.hi * factor + (((jbi_u128)power.lo * factor) >> 64);

    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

/* 10^k rounded up, which is what the proof of the method asks for. */
static jbi_power power_above(int k)
{
    jbi_power power = jbi_power_of(k);

    if (!jbi_power_is_exact(k)) {
        power.lo++;
        power.hi += power.lo == 0;
    }
    return power;
}

/* mantissa * 2^exponent, the interval of which is `narrow` below when the mantissa is the smallest
 * of its exponent: the neighbour below is then only half as far away. */
static struct shortest shorten(uint64_t mantissa, int exponent, bool narrow)
{
    int k = (exponent * 1262611 - (narrow ? 524031 : 0)) >> 22; /* floor(log10) of the interval */
    int shift = exponent + jbi_power_log2(-k) + 1;
    jbi_power power = power_above(-k);
    bool open = (mantissa & 1) != 0; /* an odd mantissa does not own its halfway points */
    uint64_t lower = round_to_odd(power, (4 * mantissa - 2 + narrow) << shift) + open;
    uint64_t value = round_to_odd(power, (4 * mantissa) << shift);
    uint64_t upper = round_to_odd(power, (4 * mantissa + 2) << shift) - open;
    uint64_t s = value / 4;
    bool down, up;

    if (s >= 10) {
        uint64_t tens = s / 10;

        down = lower <= 40 * tens;
        up = 40 * tens + 40 <= upper;
        if (down != up)
            return (struct shortest){tens + up, k + 1};
    }
    down = lower <= 4 * s;
    up = 4 * s + 4 <= upper;
    if (down == up) /* both or neither: the nearer one, the even one of two equally near */
        up = value > 4 * s + 2 || (value == 4 * s + 2 && (s & 1) != 0);
    return (struct shortest){s + up, k};
}

static struct shortest strip_zeros(struct shortest d)
{
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exp10++;
    }
    return d;
}

/* "d.ddde-7" */
static size_t put_scientific(char *buf, size_t n, struct shortest d)
{
    int exponent = d.exp10 + (int)n - 1;
    size_t len = n;

    put_digits(buf + 1, n, d.digits);
    buf[0] = buf[1];
    if (n > 1) {
        buf[1] = '.';
        len++;
    }
    buf[len++] = 'e';
    if (exponent >= 0)
        buf[len++] = '+';
    return len + jbi_number_print_int(exponent, buf + len);
}

/* The layout of ECMAScript: plain from 1e-6 up to 1e21, an exponent beyond. The value is no integer
 * below 1e21. */
static size_t put_shortest(char *buf, struct shortest d)
{
    size_t n = count_digits(d.digits);
    int point = (int)n + d.exp10; /* digits before the point */

    if (point <= -6 || point > 21)
        return put_scientific(buf, n, d);
    if (point <= 0) {
        size_t zeros = (size_t)-point;

        memset(buf, '0', 2 + zeros);
        buf[1] = '.';
        put_digits(buf + 2 + zeros, n, d.digits);
        return 2 + zeros + n;
    }
    put_digits(buf + 1, n, d.digits);
    memmove(buf, buf + 1, (size_t)point);
    buf[point] = '.';
    return n + 1;
}

/* An integral double below 1e21: mantissa * 2^exponent, digit for digit. */
static size_t put_integral(char *buf, uint64_t mantissa, int exponent)
{
    static const uint64_t split = 10000000000000000000u; /* 10^19 */
    jbi_u128 value = exponent >= 0 ? (jbi_u128)mantissa << exponent : mantissa >> -exponent;
    size_t n;

    if (value < split)
        return jbi_number_print_uint((uint64_t)value, buf);
    n = jbi_number_print_uint((uint64_t)(value / split), buf);
    put_digits(buf + n, 19, (uint64_t)(value % split));
    return n + 19;
}

static size_t put_text(char *buf, const char *text, size_t len_bytes)
{
    memcpy(buf, text, len_bytes);
    return len_bytes;
}

/* A positive finite double that is not 0. */
static size_t put_positive(char *buf, uint64_t fraction, int biased, double value)
{
    uint64_t mantissa = biased == 0 ? fraction : fraction | (uint64_t)1 << 52;
    int exponent = (biased == 0 ? 1 : biased) - 1075;

    if (value < 1e21 && exponent > -53 &&
        (exponent >= 0 || (mantissa & (((uint64_t)1 << -exponent) - 1)) == 0))
        return put_integral(buf, mantissa, exponent);
    return put_shortest(buf, strip_zeros(shorten(mantissa, exponent, fraction == 0 && biased > 1)));
}

size_t jbi_number_print_double(double value, char *buf)
{
    uint64_t bits, fraction;
    int biased;
    size_t sign;

    memcpy(&bits, &value, sizeof bits);
    fraction = bits & (((uint64_t)1 << 52) - 1);
    biased = (int)(bits >> 52 & 0x7ff);
    sign = bits >> 63;
    if (biased == 0x7ff && fraction != 0)
        return put_text(buf, "NaN", 3);
    buf[0] = '-'; /* overwritten when there is no sign */
    if (biased == 0x7ff)
        return sign + put_text(buf + sign, "Infinity", 8);
    if (biased == 0 && fraction == 0)
        return sign != 0 ? put_text(buf, "-0.0", 4) : put_text(buf, "0", 1);
    return sign + put_positive(buf + sign, fraction, biased, sign != 0 ? -value : value);
}
