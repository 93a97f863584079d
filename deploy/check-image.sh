#!/usr/bin/env bash
# Whether an image of `image.sh` is what it should be, by running it as a cluster would: `deploy/check-image.sh ARCHIVE`.
#
# As user 65532, without capabilities and without a network, all files read-only but a volume, it draws phantoms, trains on
# them and segments new ones. By runc; needs root.
set -euo pipefail

most_bytes=60000000
archive="$(realpath "${1:?the archive}")"
for needed in buildah runc; do
    if ! which "$needed" > /dev/null 2>&1 || [[ "$(id -u)" != 0 ]]; then
        echo "skipped: needs root and $needed"
        exit 0
    fi
done
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
buildah=(buildah --storage-driver vfs --root "$folder/root" --runroot "$folder/run")
container="$("${buildah[@]}" from --quiet "oci-archive:$archive")"
mkdir -p "$folder/bundle" "$folder/volume"
cp -r "$("${buildah[@]}" mount "$container")" "$folder/bundle/rootfs"
user="$("${buildah[@]}" inspect --format '{{.OCIv1.Config.User}}' "$container")"
[[ "$user" == 65532:65532 ]]

files="$(cd "$folder/bundle/rootfs" && find . -type f | sort | tr '\n' ' ')"
[[ "$files" == "./bipvl ./etc/ssl/certs/ca-certificates.crt " ]] || { echo "other files: $files"; exit 1; }
bytes="$(du --bytes --summarize "$folder/bundle/rootfs" | cut -f 1)"
echo "image: $bytes bytes, archive: $(stat -c %s "$archive") bytes"
((bytes < most_bytes)) || { echo "more than $most_bytes bytes"; exit 1; }

chown "$user" "$folder/volume"
# `inside ARGUMENT…`: the program in the image.
inside() {
    local arguments
    arguments="$(printf '"%s",' /bipvl "$@")"
    cat > "$folder/bundle/config.json" << END
{
  "ociVersion": "1.0.2",
  "process": {
    "terminal": false, "cwd": "/work", "noNewPrivileges": true, "capabilities": {}, "args": [${arguments%,}],
    "user": { "uid": ${user%:*}, "gid": ${user#*:} }
  },
  "root": { "path": "rootfs", "readonly": true },
  "mounts": [
    { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/work", "type": "bind", "source": "$folder/volume", "options": ["bind", "rw", "nosuid", "nodev"] }
  ],
  "linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }] }
}
END
    runc --root "$folder/runc" run --bundle "$folder/bundle" "bipvl-$$-$RANDOM"
}

inside --version
inside demo --channels --steps 2 --out demo > "$folder/log" 2>&1 || { tail -n 20 "$folder/log"; exit 1; }
inside predict --model demo/run --out labels --shard 0/2 demo/data/imagesTs
inside predict --model demo/run --out labels --shard 1/2 demo/data/imagesTs
inside merge labels
# Nothing but the volume can be written.
if inside predict --model demo/run --out /labels demo/data/imagesTs 2> "$folder/log"; then
    echo "wrote outside of the volume"
    exit 1
fi
grep -q "Read-only file system" "$folder/log" || { cat "$folder/log"; exit 1; }
owner="$(stat -c %u "$folder"/volume/labels/*.nii.gz | sort -u)"
[[ "$owner" == "${user%:*}" ]]
echo "trained and segmented as user $owner, read-only"
