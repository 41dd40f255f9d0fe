#!/usr/bin/env bash
# `meson install` leaves everything a program outside needs, and the source tree serves as a meson
# subproject. usage: test_install.sh SOURCE_ROOT BUILD_ROOT
set -euo pipefail

source=$1 build=$2
here=$source/tests/integration/install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0 failed=0 skipped=0

law() { # law NAME COMMAND…
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        printf 'good    %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$name"
        cat "$work/log"
    fi
}

# shellcheck disable=SC2046 # flags are words
build_and_run() { # build_and_run COMPILER FLAG…
    rm -f "$work/use"
    "$@" -Wall -Wextra -Wpedantic -Werror -o "$work/use" "$here/use.c" \
        $(pkg-config --cflags --libs jimbot)
    LD_LIBRARY_PATH=$libdir "$work/use"
}

is_soname_minor() {
    readelf -d "$libdir/libjimbot.so" | grep -F 'SONAME' | grep -qF '[libjimbot.so.0.1]'
}

# shellcheck disable=SC2046 # flags are words
client_links() {
    printf '#include <jimbot/client.h>\nint main(void) { return (int)jb_client_close(0, 0); }\n' \
        >"$work/use.c"
    gcc -std=c11 -Wall -Werror -o "$work/use" "$work/use.c" \
        $(pkg-config --cflags --libs jimbot-client)
    LD_LIBRARY_PATH=$libdir "$work/use"
}

needs_libc_only() {
    ! readelf -d "$libdir/libjimbot.so" | grep NEEDED | grep -vE 'libc\.so|libm\.so|ld-linux'
}

only_wanted_headers() {
    diff <(cd "$source/include/jimbot" && ls) <(cd "$include/jimbot" && ls)
}

works_as_subproject() {
    mkdir -p "$work/super/subprojects"
    ln -s "$source" "$work/super/subprojects/libjimbot"
    cp "$here/superproject.meson" "$work/super/meson.build"
    cp "$here/use.c" "$work/super"
    meson setup "$work/super/build" "$work/super" -Dwerror=true
    meson test -C "$work/super/build"
    ! grep -q '"name": "layout"' "$work/super/build/meson-info/intro-tests.json"
}

meson install -C "$build" --no-rebuild --destdir "$work/root" >"$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
pc=$(find "$work/root" -name jimbot.pc)
libdir=$(cd "$(dirname "$pc")/.." && pwd)
include=$(find "$work/root" -type d -path '*/include')
export PKG_CONFIG_PATH=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/root

law 'the soname carries major and minor' is_soname_minor
law 'the core needs libc only' needs_libc_only
law 'every public header is installed, and no other' only_wanted_headers
for compiler in 'gcc -std=c11' 'clang -std=c11' 'g++ -std=c++17 -x c++' \
    'clang++ -std=c++17 -x c++'; do
    if command -v "${compiler%% *}" >/dev/null; then
        # shellcheck disable=SC2086 # compiler and flags are words
        law "a program builds and runs: $compiler" build_and_run $compiler
    else
        skipped=$((skipped + 1))
    fi
done
if [ -e "$libdir/pkgconfig/jimbot-client.pc" ] && command -v gcc >/dev/null; then
    law 'a program with a client builds and runs' client_links
else
    skipped=$((skipped + 1))
fi
law 'works as a meson subproject' works_as_subproject

printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
