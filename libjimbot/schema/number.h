/*
 * JSON numbers to C values and back, without the C library.
 *
 * strtod() and printf() follow the process's locale, and a game may have set one whose decimal
 * point is a comma. Everything here is locale-free, allocates nothing and is exact. Invariant:
 * parsing rounds correctly (to nearest, ties to even) whatever the length of the text, and printing
 * a double and parsing what was printed gives the same bits.
 */
#ifndef JBI_SCHEMA_NUMBER_H
#define JBI_SCHEMA_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room that every jbi_number_print_*() is content with; the longest text is 25 bytes. */
enum { JBI_NUMBER_MAX_BYTES = 32 };

/* A number as it stood in a text. */
typedef struct jbi_number {
    double value;    /* nearest double; +-infinity when the text is beyond the range of double */
    int64_t integer; /* the exact value, when is_int64 */
    bool is_int64; /* the text's exact value is an integer that fits, however it is spelled ("1e3",
                        "2.0"); false for "-0" and "-0.0", whose sign an integer cannot hold */
    bool is_integer; /* spelled without fraction and exponent */
    bool
        is_exact; /* only set when is_integer: `value` is the integer itself, not a neighbour. So an
                        integer that no double holds (2^53 + 1, 10^23) shows itself */
} jbi_number;

/*
 * Read one JSON number (RFC 8259 grammar: no leading '+', no leading zeros, no bare point) from the
 * start of text. What follows the number is not looked at.
 *
 * Returns how many bytes the number takes, or 0 when text does not begin with a number that is
 * complete ("-", "1.", "1e" are not); then *ret is untouched.
 */
size_t jbi_number_parse(const char *text, size_t len_bytes, jbi_number *ret);

/* How many bytes the JSON number at the start of text takes, 0 as above, without its value: for
 * text that is only checked. Takes time proportional to the length, whatever the digits. */
size_t jbi_number_scan(const char *text, size_t len_bytes);

/*
 * Print a double with the fewest digits that read back exactly. Integral values below 1e21 are
 * printed as integers, with all their digits exact, no exponent and no ".0", but for
 * -0.0: as "-0" most readers would make it an integer without a sign.
 * Non-finite ones print as Infinity, -Infinity and NaN, without quotes.
 *
 * buf has room for JBI_NUMBER_MAX_BYTES. Returns the length; nothing is NUL-terminated.
 */
size_t jbi_number_print_double(double value, char *buf);

/* Print an integer in decimal. Same rules for buf. */
size_t jbi_number_print_int(int64_t value, char *buf);
size_t jbi_number_print_uint(uint64_t value, char *buf);

#endif
