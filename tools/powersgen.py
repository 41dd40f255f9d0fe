#!/usr/bin/env python3
"""Writes the table of powers of ten that libjimbot/schema/number*.c works with.

Each entry is floor(10^k / 2^e) with e chosen so that it has exactly 128 bits. Made at build time from
Python's exact integers, so that nobody has to believe 667 numbers in a source file.
"""
import sys

FIRST, LAST = -342, 324


def significand(k):
    """The leading 128 bits of 10^k, rounded down."""
    if k >= 0:
        power = 10**k
        shift = power.bit_length() - 128
        return power >> shift if shift >= 0 else power << -shift
    power = 10**-k
    # 2^n / 10^-k with n large enough for 128 bits, cut back to exactly that many.
    quotient = (1 << (power.bit_length() + 128)) // power
    return quotient >> (quotient.bit_length() - 128)


def main():
    mask = (1 << 64) - 1
    print("/* Leading 128 bits of the powers of ten, rounded down. Made by tools/powersgen.py. */")
    print(f"enum {{ POWER_FIRST = {FIRST}, POWER_LAST = {LAST} }};")
    print("static const uint64_t powers_of_ten[POWER_LAST - POWER_FIRST + 1][2] = {")
    for k in range(FIRST, LAST + 1):
        value = significand(k)
        assert value >> 127 == 1
        print(f"    {{0x{value >> 64:016x}u, 0x{value & mask:016x}u}}, /* 1e{k} */")
    print("};")


if __name__ == "__main__":
    sys.exit(main())
