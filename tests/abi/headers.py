#!/usr/bin/env python3
"""Each public header compiles alone, as C11 and C++17, warnings as errors, with every compiler here.

usage: headers.py INCLUDE_DIR HEADER…       prints a plain count
"""
import os
import shutil
import subprocess
import sys
import tempfile

FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror",
         "-fsyntax-only"]
C_FLAGS = ["-std=c11", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wc++-compat"]
COMPILERS = [("gcc", C_FLAGS, ".c"), ("clang", C_FLAGS, ".c"),
             ("g++", ["-std=c++17"], ".cpp"), ("clang++", ["-std=c++17"], ".cpp")]


def compiles(compiler, flags, suffix, include, header):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "alone" + suffix)
        with open(source, "w", encoding="utf-8") as file:
            # Twice, so that a missing include guard shows.
            file.write(f'#include "{header}"\n#include "{header}"\nextern int not_empty;\n')
        done = subprocess.run([compiler, *flags, *FLAGS, "-I", include, source], check=False)
        return done.returncode == 0


def main(include, *headers):
    count = {True: 0, False: 0}
    skipped = 0
    for compiler, flags, suffix in COMPILERS:
        if not shutil.which(compiler):
            print(f"{compiler} is not installed")
            skipped += len(headers)
            continue
        for header in headers:
            good = compiles(compiler, flags, suffix, include, header)
            count[good] += 1
            print(f"{compiler} {header}: {'good' if good else 'FAILED'}", flush=True)
    print(f"{count[True]} passed, {count[False]} failed, {skipped} skipped")
    return 1 if count[False] or not count[True] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
