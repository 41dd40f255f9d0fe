#!/usr/bin/env python3
"""Closing count of a test run: cases, not programs.

Reads meson's testlog.json. Test programs that close with a count of their own (check, pytest,
unittest, or a plain "N passed, N failed[, N skipped]") are counted by it, all others as one case
each. A program that failed without naming a failed case counts as one failure: a crash never reads as a pass.
"""
import json
import os
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
PYTEST = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*?^(?:OK|FAILED)(?: \((.*?)\))?$", re.M | re.S)
SKIPPED = "SKIP"
GOOD = ("OK", "EXPECTEDFAIL")


def cases_of(text):
    """(passed, failed, skipped) as the program itself counted, or None."""
    found = [(int(n) - int(f) - int(e), int(f) + int(e), 0) for n, f, e in CHECK.findall(text)]
    found += [(int(p), int(f), int(s or 0)) for p, f, s in PLAIN.findall(text)]
    for line in PYTEST.findall(text):
        count = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", line)}
        failed = count.get("failed", 0) + count.get("error", 0) + count.get("errors", 0)
        found.append((count.get("passed", 0), failed, count.get("skipped", 0)))
    for ran, notes in UNITTEST.findall(text):
        count = {word: int(n) for word, n in re.findall(r"(\w+)=(\d+)", notes)}
        failed, skipped = count.get("failures", 0) + count.get("errors", 0), count.get("skipped", 0)
        found.append((int(ran) - failed - skipped, failed, skipped))
    return tuple(map(sum, zip(*found))) if found else None


def cases_of_program(result, text):
    passed, failed, skipped = cases_of(text) or (0, 0, 0)
    if result == SKIPPED:
        return passed, failed, max(skipped, 1)
    if result not in GOOD:
        return passed, max(failed, 1), skipped
    if passed + failed + skipped == 0:
        return 1, 0, 0
    return passed, failed, skipped


def main(path):
    total = [0, 0, 0]
    if os.path.exists(path):
        with open(path, encoding="utf-8") as log:
            for entry in map(json.loads, log):
                counts = cases_of_program(
                    entry["result"], entry.get("stdout", "") + "\n" + entry.get("stderr", ""))
                total = [a + b for a, b in zip(total, counts)]
    print("{} passed, {} failed, {} skipped".format(*total))
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
