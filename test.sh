#!/usr/bin/env bash
# test.sh: installs what the tests need, builds with warnings as errors, and runs every test twice: plain, and under
# AddressSanitizer and UndefinedBehaviorSanitizer; in between, what links no library on aarch64 (tests/aarch64/run.sh, which
# says so where it cannot). Arguments go to ctest (for example: ./test.sh -R kernels).
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh
need_packages "${BUILD_PACKAGES[@]}" libcmocka-dev clang-format-14 python3
jobs=$(nproc)

run() {
    local preset=$1
    shift
    echo "== $preset: build"
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset" -j "$jobs" -- --quiet
    echo "== $preset: tests"
    ctest --preset "$preset" -j "$jobs" --output-on-failure "$@"
}
run test "$@"
tests/aarch64/run.sh "$@" || [ $? -eq 77 ]
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
run asan "$@"
echo "All tests passed, plain and under sanitizers."
