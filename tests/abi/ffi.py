#!/usr/bin/env python3
"""The public headers, preprocessed with JB_FFI, are something LuaJIT's ffi.cdef can read.

usage: ffi.py CC… -- INCLUDE_DIR HEADER…
Checks the tokens that ffi.cdef refuses, and hands the text to luajit itself where there is one.
"""
import re
import shutil
import subprocess
import sys

REFUSED = re.compile(r"\b(_Atomic|_Alignas|_Alignof|_Static_assert|static_assert|_Generic|_Noreturn|"
                     r"_Thread_local|inline|__inline__|extern\s*\"C\"|constexpr)\b")
BIG_ENUM = re.compile(r"\benum\b[^;{]*\{[^}]*\b\d+[uU]?[lL][lL]", re.S)


def own_text(cc, include, header):
    """What is left of the header itself after preprocessing, without the C library's lines."""
    out = subprocess.run([*cc, "-E", "-std=c11", "-DJB_FFI", "-I", include, "-x", "c", "-"],
                         input=f'#include "{header}"\n', text=True, check=True,
                         stdout=subprocess.PIPE).stdout
    kept, ours = [], False
    for line in out.splitlines():
        mark = re.match(r'# \d+ "([^"]*)"', line)
        if mark:
            ours = mark.group(1).startswith(include)
        elif ours:
            kept.append(line)
    return "\n".join(kept) + "\n"


def main(*arguments):
    cut = arguments.index("--")
    cc, include, headers = arguments[:cut], arguments[cut + 1], arguments[cut + 2:]
    failed = 0
    for header in headers:
        text = own_text(cc, include, header)
        found = REFUSED.findall(text) + BIG_ENUM.findall(text)
        if found or "jb_" not in text:
            print(f"{header}: {found or 'nothing is left after preprocessing'}")
            failed += 1
        elif shutil.which("luajit"):
            done = subprocess.run(["luajit", "-e", "require('ffi').cdef(io.read('*a'))"],
                                  input=text, text=True, check=False)
            failed += done.returncode != 0
    print(f"{len(headers) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
