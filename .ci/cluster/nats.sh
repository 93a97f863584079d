#!/usr/bin/env bash
# Four workers in networks of their own do 1 000 small studies and 20 broken ones, while workers are killed and links are
# cut at moments drawn from a seed: it makes the networks and runs the test `nats::chaos` in them. Skipped where this is not
# root, or there are no network namespaces. `nats.sh [FEATURES [SEED]]`: features of the program that is built.
set -euo pipefail
cd "$(dirname "$0")/../.."

features="${1:-nats}"
seed="${2:-1}"
name="bipvl-$$"
workers=(1 2 3 4)

networks() {
    echo "$name-hub"
    printf "$name-%s\n" "${workers[@]}"
}

# Ends what still runs in the networks, and removes them.
remove_networks() {
    local network process
    for network in $(networks); do
        for process in $(ip netns pids "$network" 2> /dev/null); do
            kill -9 "$process" 2> /dev/null || true
        done
        ip netns del "$network" 2> /dev/null || true
    done
}

# A bridge in the hub at 10.77.0.1, to which each worker has a cable: `link-N` in the hub, 10.77.0.1N in its own network.
make_networks() {
    local hub="$name-hub" worker
    ip netns add "$hub"
    ip -n "$hub" link set lo up
    ip -n "$hub" link add bridge type bridge
    ip -n "$hub" address add 10.77.0.1/24 dev bridge
    ip -n "$hub" link set bridge up
    for worker in "${workers[@]}"; do
        ip netns add "$name-$worker"
        ip -n "$hub" link add "link-$worker" type veth peer name cable netns "$name-$worker"
        ip -n "$hub" link set "link-$worker" master bridge up
        ip -n "$name-$worker" link set lo up
        ip -n "$name-$worker" address add "10.77.0.1$worker/24" dev cable
        ip -n "$name-$worker" link set cable up
    done
}

if [[ "$(id -u)" != 0 ]] || ! which ip nats-server > /dev/null; then
    echo "skipped: needs root, iproute2 and nats-server"
    exit 0
fi
trap remove_networks EXIT
if ! make_networks 2> /dev/null; then
    echo "skipped: there are no network namespaces here"
    exit 0
fi
BIPVL_TEST_NATS="$(which nats-server)" BIPVL_TEST_NETWORKS="$name" BIPVL_TEST_SEED="$seed" ip netns exec "$name-hub" \
    cargo test --release --locked --offline -p bipvl-worker -p bipvl-cli --features "$features" --test it nats::chaos -- --nocapture
