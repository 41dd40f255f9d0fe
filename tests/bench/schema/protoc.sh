#!/bin/sh
# C++ of the schema for a peer, in one folder, which is what the build can name.
# Arguments: protoc, the folder for what is made, the files of the schema.
#
# Generated C++ has a member x_size() for a list x, so a field `hand_size` beside a list `hand` does
# not compile; for the peer it has another name, which takes the same bytes.
set -eu
protoc=$1 out=$2
shift 2
for file in "$@"; do
    sed 's/\bhand_size\b/hand_room/; s|^import "jimbot/v1/|import "|' "$file" >"$out/${file##*/}"
done
cd "$out"
"$protoc" --cpp_out=. command.proto event.proto extra.proto game.proto learning.proto strategy.proto
