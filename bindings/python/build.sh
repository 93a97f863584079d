#!/usr/bin/env bash
# Builds the wheel with module and program, with maturin on the PATH: `build.sh OUT` for an old glibc, with ziglang beside it;
# `build.sh OUT --native` for the libc of this machine, from what `cargo build --release` has compiled.
set -euo pipefail
out="$(realpath -m "$1")"
mode="${2:-}"
cd "$(dirname "$0")"

options=(--release --locked)
folder="${CARGO_TARGET_DIR:-../../target}"
if [[ "$mode" == --native ]]; then
    options+=(--compatibility linux)
else
    triple="$(rustc -vV | sed -n 's/^host: //p')"
    options+=(--compatibility manylinux2014 --zig --target "$triple")
    folder+="/$triple"
fi

# By maturin too: what both share is then compiled once, in one environment.
maturin build "${options[@]}" --manifest-path ../../crates/cli/Cargo.toml --bindings bin --out "$folder/program"
mkdir -p bipvl.data/scripts
cp "$folder/release/bipvl" bipvl.data/scripts/
maturin build "${options[@]}" --out "$out"
