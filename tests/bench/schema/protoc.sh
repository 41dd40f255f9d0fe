#!/bin/sh
# C++ of the schema for a peer, in one folder, which is what the build can name.
# Arguments: protoc, the folder for what is made, the files of the schema.
set -eu
protoc=$1 out=$2
shift 2
for file in "$@"; do
    sed 's|^import "jimbot/v1/|import "|' "$file" >"$out/${file##*/}"
    set -- "$@" "${file##*/}"
    shift
done
cd "$out"
"$protoc" --cpp_out=. "$@"
