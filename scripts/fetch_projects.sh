#!/bin/sh
# Fetches the programs of others whose checks are tested (examples/projects): pluggy's sources, and
# Debian's nginx, which is unpacked and not installed, so that no service is set up. Does nothing
# where they are.
set -eu
cd "$(dirname "$0")/.."

pluggy=pluggy-1.6.0
cache=${PROBEPLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/probeplan}/projects
mkdir -p "$cache"
work=$(mktemp -d "$cache/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ ! -d "$cache/$pluggy" ]; then
    echo "setup: fetching the sources of pluggy" >&2
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-input --no-deps \
        --no-binary :all: --dest "$work" "${pluggy%-*}==${pluggy##*-}"
    tar -xzf "$work/$pluggy.tar.gz" -C "$work"
    rm -rf "${cache:?}/$pluggy"
    mv "$work/$pluggy" "$cache/"
fi

if [ ! -x "$cache/nginx/usr/sbin/nginx" ]; then
    echo "setup: fetching nginx" >&2
    # _apt, as which apt downloads, has to be able to write there.
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download nginx) || {
        apt-get -qq -o DPkg::Lock::Timeout=300 update
        (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download nginx)
    }
    dpkg-deb --extract "$work"/nginx_*.deb "$work/nginx"
    rm -rf "$cache/nginx"
    mv "$work/nginx" "$cache/"
fi
