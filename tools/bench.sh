# shellcheck shell=bash
# `./dev bench`: builds what is measured and prints its figures. Sourced by ./dev, which gives root,
# logs, die, say and the rest.
# shellcheck disable=SC2154 # assigned by ./dev

# A peer of the coordinator's, in Rust: absent where there is no cargo, or nothing to fetch it from.
bench_governor() { # bench_governor DIRECTORY
    command -v cargo >/dev/null || return 0
    rm -rf "$1/governor"
    cp -r "$root/tests/bench/quota/governor" "$1/governor"
    (cd "$1/governor" && CARGO_TARGET_DIR=$1/cargo cargo build --quiet --release) ||
        say "bench: cargo could not build the peer of quota"
}

# The bus, the schema or the coordinator beside its peers: a table for people, JSON lines for
# machines. Arguments name rows.
bench_peers() { # bench_peers bus|schema|quota DIRECTORY JSON OPTION…|ROW…
    local program=$2/tests/bench/$1/bench_$1 json=$3 lines=$logs/bench-$1.jsonl
    shift 3
    if [ "$json" = true ]; then
        "$program" --json - "$@" | tee "$lines"
    else
        "$program" --json "$lines" "$@"
        say "JSON lines: build-logs/${lines##*/}"
    fi
}

# The other benchmarks print one JSON object a line; the rest is meson's, shown only when one fails.
bench_others() { # bench_others DIRECTORY JSON NAME…
    local dir=$1 lines=$logs/bench.jsonl show=(python3 "$root/tools/bench-table.py")
    [ "$2" = false ] || show=(cat)
    shift 2
    meson test -C "$dir" --benchmark --no-rebuild --verbose --num-processes 1 "$@" \
        </dev/null 2>&1 | tee "$logs/bench.log" | grep --line-buffered '^{' | tee "$lines" |
        "${show[@]}" || die "a benchmark failed or printed nothing (log: build-logs/bench.log)"
    [ "${show[0]}" = cat ] || say "JSON lines: build-logs/bench.jsonl"
}

bench() {
    local dir=$root/build-bench json=false with='' names=() rows=() options=() arg
    local peer=$dir/cargo/release/libbench_governor.so with_peer=()
    for arg in "$@"; do
        case $arg in
        --json) json=true ;;
        --quick) options+=("$arg") ;;
        -*) die "bench: unknown option $arg" ;;
        bus | schema | quota) with+=" $arg" ;;
        *) if [ -n "$with" ]; then rows+=("$arg"); else names+=("$arg"); fi ;;
        esac
    done
    setup build test bench
    unpack_packages unpack-bench
    configure "$dir" -Dtests=true -Dbuildtype=release
    compile "$dir"
    use_build "$dir"
    if [ -z "$with" ] || [ ${#names[@]} -gt 0 ]; then
        mapfile -t names < <(select_tests "$dir" --benchmarks "${names[@]:-}")
        [ ${#names[@]} -gt 0 ] || exit 1
        [[ " ${names[*]} " != *" bus "* ]] || with+=" bus"
        [[ " ${names[*]} " != *" schema "* ]] || with+=" schema"
        [[ " ${names[*]} " != *" quota "* ]] || with+=" quota"
        mapfile -t names < <(printf '%s\n' "${names[@]}" | grep -vxE 'bus|schema|quota')
    elif [[ "$with" == *schema* ]] && [ ${#rows[@]} = 0 ]; then
        names=(schema-lua-jit schema-lua-joff schema-python)
    fi
    mkdir -p "$logs"
    [[ "$with" != *bus* ]] || bench_peers bus "$dir" "$json" "${options[@]}" "${rows[@]}"
    [[ "$with" != *schema* ]] || bench_peers schema "$dir" "$json" "${rows[@]}"
    if [[ "$with" == *quota* ]]; then
        bench_governor "$dir"
        [ ! -f "$peer" ] || with_peer=(--governor "$peer")
        bench_peers quota "$dir" "$json" "${with_peer[@]}" "${rows[@]}"
    fi
    [ ${#names[@]} = 0 ] || bench_others "$dir" "$json" "${names[@]}"
}
