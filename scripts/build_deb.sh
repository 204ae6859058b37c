#!/bin/sh
# Builds the Debian package with Debian's own tools, in a copy of the tree. The same tree gives the
# same bytes: times are those of debian/changelog.
# usage: scripts/build_deb.sh [VERSION [DIRECTORY]]
#   VERSION    gets an entry in the copy's changelog (default: the changelog's own)
#   DIRECTORY  takes the package (default: build/deb)
set -eu
cd "$(dirname "$0")/.."

version=${1:-}
result=${2:-build/deb}
mkdir -p "$result"
result=$(cd "$result" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/probeplan"

# What is built is what is committed or could be: nothing that is ignored.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard |
        tar -c --null --ignore-failed-read --files-from=- | tar -x -C "$work/probeplan"
else
    tar -c --exclude=./build --exclude=./.venv --exclude=__pycache__ . | tar -x -C "$work/probeplan"
fi

cd "$work/probeplan"
if [ -n "$version" ]; then
    {
        echo "probeplan ($version) unstable; urgency=medium"
        printf '\n  * Built from a source tree.\n\n'
        dpkg-parsechangelog -S Maintainer | sed 's/^/ -- /' | tr '\n' ' '
        printf ' %s\n\n' "$(dpkg-parsechangelog -S Date)"
        cat debian/changelog
    } >"$work/changelog"
    mv "$work/changelog" debian/changelog
fi
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin # Debian's Python, and not another one of pyenv or conda
if ! dpkg-buildpackage --build=binary --unsigned-changes --unsigned-source >"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo "build_deb: dpkg-buildpackage failed" >&2
    exit 1
fi
mv "$work"/probeplan_*.deb "$work"/probeplan_*.changes "$work"/probeplan_*.buildinfo "$result"/
ls "$result"/probeplan_*.deb
