#!/usr/bin/env bash
# Builds the wheel and tries it in environments that know nothing of Rust: with the oldest numpy, and with the newest beside
# the type checkers. `check.sh FOLDER [--native]` keeps environments and wheel in the folder; it needs a package index.
set -euo pipefail
mkdir -p "$1"
folder="$(realpath "$1")"
cd "$(dirname "$0")"

builders="maturin==1.16.0 ziglang==0.17.1"
tests="pytest==9.2.0 nibabel==5.4.2 SimpleITK==2.5.7"
checkers="mypy==2.4.1 pandas==3.1.1 tqdm==4.70.1 nbclient==0.11.0 nbformat ipykernel==7.4.0 matplotlib==3.11.2"

# `environment NAME PACKAGE…`
environment() {
    [[ -d "$folder/$1" ]] || python3 -m venv "$folder/$1"
    "$folder/$1/bin/pip" install -q "${@:2}"
}

environment builders $builders
PATH="$folder/builders/bin:$PATH" ./build.sh "$folder" "${@:2}"
wheel="$(ls "$folder"/bipvl-*.whl)"
echo "$(basename "$wheel"): $(($(stat -c %s "$wheel") / 1000000)) MB"

environment oldest numpy==1.26.4 $tests
environment newest numpy $tests $checkers
for name in oldest newest; do
    "$folder/$name/bin/pip" install -q --force-reinstall --no-deps "$wheel"
    env -i PATH=/usr/bin:/bin HOME="$HOME" "$folder/$name/bin/python" -m pytest -q -p no:cacheprovider tests
done
"$folder/newest/bin/mypy" --config-file pyproject.toml python/bipvl examples
"$folder/newest/bin/stubtest" --mypy-config-file pyproject.toml --allowlist stubtest.txt bipvl
env -i PATH="$folder/newest/bin:/usr/bin:/bin" HOME="$HOME" "$folder/newest/bin/python" notebook.py --check
