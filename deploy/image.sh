#!/usr/bin/env bash
# Builds the image of `Containerfile` as an archive: `deploy/image.sh ARCHIVE [FEATURES]`.
#
# The program is linked statically, with glibc, so that the image needs no other file. The archive is for
# `podman load --input ARCHIVE`, `skopeo copy oci-archive:ARCHIVE docker://REGISTRY/bipvl:VERSION`, or `ctr image import`.
set -euo pipefail

archive="$(realpath -m "${1:?the archive to write}")"
features="${2:-}"
cd "$(dirname "$0")/.."
if ! which buildah > /dev/null 2>&1; then
    echo "needs buildah"
    exit 1
fi
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
host="$(rustc -vV | sed -n 's/^host: //p')"

RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --profile image --locked --target "$host" --bin bipvl ${features:+--features "$features"}
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/context"
strip -o "$folder/context/bipvl" "${CARGO_TARGET_DIR:-target}/$host/image/bipvl"
if readelf --program-headers "$folder/context/bipvl" | grep -q INTERP; then
    echo "the program is not static"
    exit 1
fi
cp /etc/ssl/certs/ca-certificates.crt "$folder/context"

# No layer is kept here and no command runs inside, so that no privileges and no storage driver of the machine are needed.
buildah=(buildah --storage-driver vfs --root "$folder/root" --runroot "$folder/run")
"${buildah[@]}" build --quiet --isolation chroot --file deploy/Containerfile --tag "bipvl:$version" "$folder/context"
rm -f "$archive"
"${buildah[@]}" push --quiet "bipvl:$version" "oci-archive:$archive:bipvl:$version"
echo "program: $(stat -c %s "$folder/context/bipvl") bytes, archive: $(stat -c %s "$archive") bytes"
