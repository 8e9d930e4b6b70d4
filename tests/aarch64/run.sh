#!/usr/bin/env bash
# run.sh: what links no library (kernels/, autograd/, most of base/) on aarch64: builds it with Debian's cross compiler and
# runs its tests under qemu-user, every CPU level of that processor among them.
#
# Usage: tests/aarch64/run.sh [CTEST ARGUMENTS]   builds in build/aarch64; exits 77 where this cannot be done: the host is
# not Debian on x86-64. An emulated processor is slow: of the many cases that compare kernels with the reference every
# 11th is run; LORAC_TEST_EVERY=1 before the command runs all. cmocka for aarch64 comes from Debian's archive too, but is
# only unpacked into the build folder, and so are the lists it is found with: the system stays without a second architecture.
set -euo pipefail
cd "$(dirname "$0")/../.."
. ./packages.sh
out=build/aarch64

skip() {
    echo "tests/aarch64: skipped: $1"
    exit 77
}
[ "$(uname -m)" = x86_64 ] || skip "the cross compiler and the emulator are for a host of x86-64, this is $(uname -m)"
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip "no apt-get here: the packages are Debian's"

# fetch_foreign ARCHITECTURE FOLDER PACKAGE...: unpacks packages of another architecture into FOLDER.
fetch_foreign() {
    local arch=$1 folder state
    folder=$(realpath -m "$2")
    shift 2
    state="$folder/apt"
    rm -rf "$folder"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    local apt=(apt-get -qq -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::State::lists="$state/lists"
        -o Dir::Cache="$state/cache" -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Acquire::Languages=none
        -o APT::Sandbox::User=)
    "${apt[@]}" update || return
    (cd "$state" && "${apt[@]}" download "$@") || return
    local deb
    for deb in "$state"/*.deb; do dpkg-deb -x "$deb" "$folder" || return; done
    rm -rf "$state"
}

need_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user cmake ninja-build
if ! [ -e $out/packages/usr/include/cmocka.h ]; then
    fetch_foreign arm64 $out/packages libcmocka-dev libcmocka0 || skip "no libcmocka-dev for arm64 from these archives"
fi
echo "== aarch64: build"
cmake -S . -B $out -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$PWD/tests/aarch64/toolchain.cmake" \
    -DLORAC_LIBRARIES=OFF >/dev/null
cmake --build $out -j "$(nproc)" -- --quiet
echo "== aarch64: tests, emulated"
export LORAC_TEST_EVERY=${LORAC_TEST_EVERY:-11}
ctest --test-dir $out -j "$(nproc)" --output-on-failure "$@"
