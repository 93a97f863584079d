#!/usr/bin/env bash
# Builds the wheel with module and program for an old glibc: `build.sh OUT` with maturin, cargo-zigbuild and ziglang on
# the PATH. Compiled code lies in the target directory of the workspace.
set -euo pipefail
out="$(realpath -m "$1")"
cd "$(dirname "$0")"

# manylinux2014: CentOS 7 and all that came later.
glibc=2.17
triple="$(rustc -vV | sed -n 's/^host: //p')"
target="${CARGO_TARGET_DIR:-../../target}"

# Selected together, so that what they share has the same features and is compiled once.
cargo zigbuild --release --locked --target "$triple.$glibc" --package bipvl-cli --package bipvl-python \
    --bin bipvl --lib
mkdir -p bipvl.data/scripts
cp "$target/$triple/release/bipvl" bipvl.data/scripts/
maturin build --release --locked --zig --compatibility manylinux2014 --target "$triple" --out "$out"
