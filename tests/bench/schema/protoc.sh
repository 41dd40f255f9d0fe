#!/bin/sh
# Code of the schema for a peer, in one folder, which is what the build can name.
# Arguments: the folder for what is made, the command that makes it, `--`, the files of the schema.
set -eu
out=$1 make=
shift
while [ "$1" != -- ]; do
    make="$make $1"
    shift
done
shift
for file in "$@"; do
    sed 's|^import "jimbot/v1/|import "|' "$file" >"$out/${file##*/}"
    set -- "$@" "${file##*/}"
    shift
done
cd "$out"
# shellcheck disable=SC2086 # the words of a command
$make "$@"
