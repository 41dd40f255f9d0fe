#!/usr/bin/env python3
"""The layout of the public structs is the one on file, and has no hole a compiler could fill.

usage: layout.py PROGRAM GOLDEN
A wanted change: `build/tests/abi/layout > tests/abi/layout.golden`, and a line in NEWS.md.
"""
import difflib
import re
import subprocess
import sys


def holes(lines):
    """Every field begins where the one before ended, and the last ends the struct."""
    name, size, end = None, 0, 0
    for line in [*lines, "end size 0 align 1"]:
        if found := re.fullmatch(r"  (\w+) at (\d+) size (\d+)", line):
            if int(found[2]) != end:
                yield f"{name}: {int(found[2]) - end} bytes of padding before {found[1]}"
            end = int(found[2]) + int(found[3])
        else:
            if end != size:
                yield f"{name}: {size - end} bytes of padding at its end"
            found = re.fullmatch(r"(\w+) size (\d+) align \d+", line)
            name, size, end = found[1], int(found[2]), 0


def main(program, golden):
    now = subprocess.run([program], check=True, text=True,
                         stdout=subprocess.PIPE).stdout.splitlines()
    with open(golden, encoding="utf-8") as file:
        then = file.read().splitlines()
    bad = list(difflib.unified_diff(then, now, golden, "this build", lineterm="", n=1))
    bad += holes(now)
    print("\n".join(bad) or f"{sum(' align ' in line for line in now)} structs as on file")
    return 1 if bad or not now else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
