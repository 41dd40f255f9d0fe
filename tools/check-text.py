#!/usr/bin/env python3
"""House rules that no formatter knows: lengths of files and lines, opening comments, notes.

Takes file names; prints one line a finding; exits 1 if there was any. Python files are compiled
too, without leaving anything behind.
"""
import os
import re
import sys

LINE_MAX = {".py": 120, ".lua": 120}  # others: 100
# First match wins: (pattern of the path, most lines).
FILE_MAX = [
    (r"^include/.*\.h$", 520),
    (r"^tests/.*\.(c|py|lua|h)$", 420),
    (r"^bindings/.*\.c$", 500),
    (r"\.lua$", 250),
    (r"^examples/", 300),
    (r"\.h$", 220),
    (r"\.c$", 600),
    (r"^tools/.*\.sh$|^dev$", 300),
]
NOTE = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\|)")


def findings(path, text):
    lines = text.split("\n")
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for pattern, most in FILE_MAX:
        if re.search(pattern, path):
            if len(lines) - 1 > most:
                yield len(lines), f"{len(lines) - 1} lines, at most {most} are wanted"
            break
    if path.endswith((".c", ".h")) and not text.startswith("/*"):
        yield 1, "does not open with a comment that says why the file exists"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield number, "white space at the end"
        if "\t" in line and not path.endswith(".md"):
            yield number, "a tab"
        if len(line) > LINE_MAX.get(os.path.splitext(path)[1], 100) and not path.endswith(".md"):
            yield number, f"{len(line)} columns"
        if NOTE.search(line) and path != "tools/check-text.py":
            yield number, "a note to oneself: open an issue instead"
    if path.endswith(".py"):
        try:
            compile(text, path, "exec")
        except SyntaxError as error:
            yield error.lineno or 1, str(error)


def main(paths):
    count = 0
    for path in paths:
        path = path.removeprefix("./")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for line, what in findings(path, text):
            print(f"{path}:{line}: {what}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
