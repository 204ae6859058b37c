#!/bin/sh
# Makes minimal Debian systems with what the package depends on and recommends, as folders in the
# cache: tests install the package there, without network. Does nothing where they are. Needs root.
# usage: scripts/fetch_debian_roots.sh [SUITE…]      default: bookworm trixie
set -eu

cd "$(dirname "$0")/.."

# The archive that this host's own apt uses, or PROBEPLAN_DEBIAN_MIRROR.
mirror=$(.venv/bin/python -c 'from orchestrator.lab.apt import mirror; print(mirror("bookworm"))')
packages=python3-jsonschema,python3-numpy,python3-rich,python3-structlog,python3-yaml
packages=$packages,python3-bpfcc,python3-capstone,man-db,bash-completion,systemd
form=2 # raise it to have the roots made again
cache=${PROBEPLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/probeplan}/debian-roots
mkdir -p "$cache"

make_root() {
    root=$cache/$1-$form
    [ ! -d "$root" ] || return 0
    more=""
    [ "$1" = bookworm ] || more=,python3-orjson # Debian 12 has none
    echo "setup: making a root of Debian $1" >&2
    new=$(mktemp -d "$cache/.new-XXXXXX")
    if ! mmdebstrap --quiet --mode=root --variant=apt --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Languages "none"' --include="$packages$more" \
        "$1" "$new/root" "$mirror" >"$new/log" 2>&1; then
        cat "$new/log" >&2
        rm -rf "$new"
        return 1
    fi
    rm -rf "$new"/root/var/lib/apt/lists/* "$new"/root/var/cache/apt/*
    mv "$new/root" "$root"
    rm -rf "$new"
}

[ $# -gt 0 ] || set -- bookworm trixie
jobs=""
for suite in "$@"; do
    make_root "$suite" & # next to each other: each waits for the network half of its time
    jobs="$jobs $!"
done
failed=0
for job in $jobs; do
    wait "$job" || failed=1
done
exit "$failed"
