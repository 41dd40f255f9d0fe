#!/usr/bin/env python3
"""Every public function carries the house's comment block: what it does, then who may call it when.

usage: blocks.py HEADER…
"""
import re
import sys

DECLARED = re.compile(r"^JB_API\b[^;]*?\b(jb_\w+)\(([^;]*)\);", re.M | re.S)
ORDER = ["Threads:", "Blocks:", "Allocates:", "Game thread:", "Since:"]
SINCE = re.compile(r"^ \* Since: \d+\.\d+$", re.M)


def block_before(text, position):
    """The comment that ends right before the declaration, or nothing."""
    before = text[:position].rstrip()
    if not before.endswith("*/"):
        return ""
    return before[before.rindex("/*"):]


def findings(block, arguments):
    if not block.startswith("/**"):
        yield "no /** comment right before it"
        return
    places = [block.find(word) for word in ORDER]
    for word, place in zip(ORDER, places):
        if place < 0:
            yield f"no '{word}'"
    if min(places) >= 0 and places != sorted(places):
        yield "its last lines are not in the order " + " ".join(ORDER)
    if not SINCE.search(block):
        yield "'Since: MAJOR.MINOR' does not stand on a line of its own"
    for name in re.findall(r"@param\s+(\w+)", block):
        if not re.search(rf"\b{name}\b", arguments):
            yield f"describes '{name}', which is no parameter"


def main(*headers):
    functions = failed = 0
    for header in headers:
        with open(header, encoding="utf-8") as file:
            text = file.read()
        for found in DECLARED.finditer(text):
            functions += 1
            problems = list(findings(block_before(text, found.start()), found[2]))
            failed += bool(problems)
            for problem in problems:
                print(f"{header}: {found[1]}(): {problem}")
    print(f"{functions - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not functions else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
