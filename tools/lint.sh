#!/usr/bin/env bash
# Looks at the sources without running them: layout, static analysis, syntax of scripts.
# `./dev lint` sets it up and calls it. Every check runs, even after one has failed; the exit code
# is 1 if any did.
set -uo pipefail
shopt -s lastpipe # check() is the end of a pipe and sets rc here, not in a subshell
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit

rc=0

# Source files of a kind, with git's help where there is git: build products are never looked at.
sources() { # sources PATTERN…
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard -- "$@"
    else
        local pattern names=()
        for pattern in "$@"; do names+=(-o -name "${pattern##*/}"); done
        find . -path './build*' -prune -o -path ./.venv -prune -o -path ./.git -prune -o \
            -type f '(' "${names[@]:1}" ')' -print0
    fi
}

check() { # check NAME COMMAND…   with file names on standard input
    local name=$1 out
    shift
    if ! command -v "$1" >/dev/null; then
        printf 'lint: %-14s not installed\n' "$name"
        rc=1
    elif out=$(xargs -0 -r "$@" 2>&1); then
        printf 'lint: %-14s good\n' "$name"
    else
        printf '%s\nlint: %-14s FAILED\n' "$(grep -v 'warnings generated' <<<"$out")" "$name"
        rc=1
    fi
}

sources '*.c' '*.h' | check clang-format clang-format --dry-run -Werror
sources 'libjimbot/*.c' 'examples/*.c' | check cppcheck cppcheck --quiet --error-exitcode=1 \
    --std=c11 --enable=warning,portability --inline-suppr --library=posix \
    --suppress=missingIncludeSystem -D_GNU_SOURCE -D__linux__ \
    -j2 -Iinclude -Ilibjimbot
sources 'libjimbot/*.c' 'examples/*.c' | check clang-tidy \
    clang-tidy --quiet -p build --extra-arg=-Wno-ignored-optimization-argument
# shellcheck disable=SC2016 # that script is for sh
sources '*.lua' | check lua sh -c 'for f; do luajit -bl "$f" >/dev/null || exit 1; done' sh
sources '*.sh' 'dev' '.ci/run' | check shellcheck shellcheck
sources '*.c' '*.h' '*.lua' '*.py' '*.md' '*.sh' 'dev' |
    check text python3 tools/check-text.py

exit $rc
