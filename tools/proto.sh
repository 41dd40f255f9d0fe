# shellcheck shell=bash
# `./dev proto`: packages of the schema for users of other languages. Sourced by ./dev, which gives
# root, die, say, quietly, setup, build and use_build.

# What npm and cargo bring stays in build/proto. Other versions of the two than Debian's will do.
proto() {
    local languages=("$@") language sections=(build test)
    [ $# -gt 0 ] || languages=(python typescript rust)
    for language in "${languages[@]}"; do
        case $language in
        python) ;;
        typescript) command -v npm >/dev/null || sections+=(typescript) ;;
        rust) command -v cargo >/dev/null || sections+=(rust) ;;
        *) die "proto: no language '$language'; there are: python typescript rust" ;;
        esac
    done
    setup "${sections[@]}"
    build tests
    local version
    version=$(meson introspect "${root:?}/build" --projectinfo |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])')
    for language in "${languages[@]}"; do
        say "making the package for $language"
        quietly "proto-$language" python3 "$root/tools/proto/make.py" "$root/build/proto" \
            "$version" "$language" || die "it failed (log: build-logs/proto-$language.log)"
    done
    use_build "$root/build"
    meson test -C "$root/build" --no-rebuild --print-errorlogs \
        "${languages[@]/#/schema-codegen-}" </dev/null
}
