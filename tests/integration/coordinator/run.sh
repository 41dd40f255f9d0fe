#!/bin/sh
# run.sh: the tests of test_grpc.py by the python3 that has grpcio; skipped where none has.
cd "$(dirname "$0")" || exit 1
if ! python3 -c 'import grpc, grpc_health, grpc_reflection' 2>/dev/null; then
    echo "python3 has no grpcio, grpcio-health-checking, grpcio-reflection: skipped"
    exit 77
fi
exec python3 -m unittest -q test_grpc
