#!/usr/bin/env python3
"""The library exports what its map lists, the map lists what the headers declare, and nothing else.

usage: symbols.py LIBRARY MAP HEADER…
"""
import re
import subprocess
import sys

NODE = re.compile(r"(\w+\.?[\w.]*)\s*\{(.*?)\}\s*([\w.]*)\s*;", re.S)
DECLARED = re.compile(r"^JB_API\b[^;]*?\b(jb_\w+)\(", re.M)


def symbols_of_map(text):
    """{symbol: node} of all nodes. A glob may stand in `local:` only."""
    text = re.sub(r"/\*.*?\*/|#[^\n]*", "", text, flags=re.S)
    symbols = {}
    for node, body, _parent in NODE.findall(text):
        listed = re.search(r"global:(.*?)(local:|$)", body, re.S)
        for name in re.findall(r"[^\s;]+", listed.group(1) if listed else ""):
            if not re.fullmatch(r"\w+", name):
                sys.exit(f"{node} exports the pattern '{name}': list symbols one by one")
            if name in symbols:
                sys.exit(f"{name} is listed twice")
            symbols[name] = node
    return symbols


def symbols_of_library(path):
    """{symbol: version} of everything the library defines for others."""
    out = subprocess.run(["nm", "-D", "--defined-only", path], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    symbols = {}
    for line in out.splitlines():
        _address, kind, name = line.split()
        if kind != "A":  # the node itself
            name, _, version = name.partition("@")
            symbols[name] = version.lstrip("@")
    return symbols


def compare(what, left, right):
    for name in sorted(set(left) - set(right)):
        print(f"{name}: {what[0]}, but {what[1]}")
    for name in sorted(set(right) - set(left)):
        print(f"{name}: {what[2]}, but {what[3]}")
    return set(left) == set(right)


def main(library, map_path, *headers):
    with open(map_path, encoding="utf-8") as file:
        listed = symbols_of_map(file.read())
    declared = set()
    for header in headers:
        with open(header, encoding="utf-8") as file:
            declared |= set(DECLARED.findall(file.read()))
    exported = symbols_of_library(library)
    good = compare(("in the map", "no public header declares it",
                    "declared in a public header", "not in the map"), listed, declared)
    good &= compare(("in the map", "the library does not define it",
                     "exported", "not in the map"), listed, exported)
    for name in sorted(set(listed) & set(exported)):
        if exported[name] != listed[name]:
            print(f"{name}: exported as {exported[name]}, listed in {listed[name]}")
            good = False
    print(f"{len(exported)} symbols exported, {len(listed)} listed, {len(declared)} declared")
    return 0 if good and listed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
