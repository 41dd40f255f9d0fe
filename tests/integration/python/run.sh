#!/bin/sh
# Runs the Python tests against the build tree.
#   run.sh SOURCE_ROOT BUILD_ROOT SANITIZERS FOLDER [pytest arguments]
# Without .venv (see ./dev setup) there is nothing to run them with: exit 77, "skipped".
source_root=$1 build_root=$2 sanitizers=$3
shift 3 # the folder, relative to SOURCE_ROOT, is pytest's first argument
python=$source_root/.venv/bin/python
[ -x "$python" ] || {
    echo "no .venv in $source_root: ./dev setup makes it" >&2
    exit 77
}
export PYTHONPATH="$build_root/bindings/python" PYTHONDONTWRITEBYTECODE=1
case $sanitizers in
*address*)
    # The interpreter is not instrumented, so the run-time comes first; what CPython itself keeps
    # until exit is no leak of ours (test_lifetime.py looks for those).
    LD_PRELOAD=$("${CC:-cc}" -print-file-name=libasan.so)
    ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}
    export LD_PRELOAD ASAN_OPTIONS
    ;;
*thread*)
    echo "the interpreter does not run under ThreadSanitizer" >&2
    exit 77
    ;;
esac
cd "$source_root" || exit 1
exec "$python" -m pytest -q -p no:cacheprovider "$@"
