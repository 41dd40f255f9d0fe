# shellcheck shell=bash
# `./dev conform`: gRPC and HTTP/2 of jimbotd as seen by programs of other languages. Sourced by
# ./dev, which gives root, die, say, quietly, setup, build and use_build.

# Each at one version, so that a failure is ours. They are kept in .tools/ and built once.
conform_go=(
    github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
    github.com/bojand/ghz/cmd/ghz@v0.93.0
    github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
)
conform_node=(@grpc/grpc-js@1.14.0 @grpc/proto-loader@0.8.0)

conform_tools() { # conform_tools DIRECTORY
    local dir=$1 program
    mkdir -p "$dir"
    if command -v go >/dev/null; then
        for program in "${conform_go[@]}"; do
            [ ! -x "$dir/bin/$(basename "${program%@*}")" ] || continue
            say "building ${program##*/}"
            quietly conform-go env GOPATH="$dir/go" GOBIN="$dir/bin" GOFLAGS=-modcacherw \
                go install "$program" || say "could not build it; going on without it"
        done
    fi
    if command -v npm >/dev/null && [ ! -d "$dir/node_modules/@grpc/grpc-js" ]; then
        say "fetching ${conform_node[*]}"
        quietly conform-npm npm install --prefix "$dir" --no-audit --no-fund \
            "${conform_node[@]}" || say "could not fetch them; going on without them"
    fi
}

conform() {
    setup build test
    build
    conform_tools "${root:?}/.tools/conform"
    use_build "$root/build"
    export PATH=$root/.tools/conform/bin:$PATH NODE_PATH=$root/.tools/conform/node_modules
    python3 "$root/tests/conform/conform.py" "$@"
}
