#!/usr/bin/env python3
"""Every point of docs/security.md names tests, and the tests it names exist.

usage: security.py ROOT
A name is `path/below/tests.py::Class::test`, `path/below/tests.c::test`, or a path alone.
"""
import os
import re
import sys

NAME = re.compile(r"`((?:unit|integration|fuzz|stress)/[\w/]+\.(?:py|c))((?:::\w+)*)`")


def find(root, path, words):
    """What is missing of a test, or None."""
    full = os.path.join(root, "tests", path)
    if not os.path.isfile(full):
        return "there is no such file"
    with open(full, encoding="utf-8") as file:
        text = file.read()
    for word in words[:-1]:
        found = re.search(rf"^class {word}\b.*?(?=^class |\Z)", text, re.M | re.S)
        if not found:
            return f"there is no class {word}"
        text = found[0]
    law = rf"START_TEST\({words[-1]}\)" if path.endswith(".c") and words else None
    if words and not re.search(law or rf"^ *def {words[-1]}\(", text, re.M):
        return f"there is no test {words[-1]}"
    return None


def main(root):
    wrong, n_points, n_names = [], 0, 0
    with open(os.path.join(root, "docs", "security.md"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            names = NAME.findall(line)
            is_point = line.startswith("| ") and not line.startswith("| threat ")
            n_points += is_point
            if is_point and not names:
                wrong.append(f"docs/security.md:{number}: a point without a test")
            for path, words in names:
                n_names += 1
                missing = find(root, path, words.split("::")[1:])
                if missing:
                    wrong.append(f"docs/security.md:{number}: {path}{words}: {missing}")
    print("\n".join(wrong) if wrong else f"{n_points} points, {n_names} names of tests")
    return 1 if wrong or n_points < 20 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
