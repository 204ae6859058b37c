#!/bin/sh
# Installs what a fresh Debian or Ubuntu machine needs; does nothing if it is already installed.
# usage: scripts/setup.sh run|quick|check|test|bench|docs|deb
set -eu
cd "$(dirname "$0")/.."

say() {
    echo "setup: $*" >&2
}

fail() {
    say "$@"
    exit 3
}

# Runs a command and shows its output only when it fails.
quietly() {
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "this failed: $*"
    fi
    rm -f "$log"
}

packages="python3 python3-venv python3-bpfcc ca-certificates"
to_build="build-essential debhelper dh-python pybuild-plugin-pyproject python3-all python3-setuptools"
kind=base
case "${1:-run}" in
run) ;;
check) kind=dev ;;
quick)
    packages="$packages gcc libc6-dev busybox-static cpio zstd xz-utils lz4 strace openssh-client systemd \
        man-db mandoc zsh fish"
    kind=dev
    ;;
docs) kind=docs ;;
test)
    packages="$packages gcc libc6-dev make strace qemu-system-x86 busybox-static cpio zstd \
        xz-utils lz4 util-linux dpkg debian-archive-keyring bpftrace e2fsprogs mount apache2-utils \
        openssh-client iproute2 python3-apt qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
        systemd $to_build lintian mmdebstrap pipx man-db mandoc zsh fish chromium chromium-driver"
    kind=dev
    ;;
deb) packages=$to_build ;;
bench)
    packages="$packages gcc libc6-dev make bpftrace bpfcc-tools chromium chromium-driver"
    kind=dev
    ;;
*) fail "unknown purpose '$1': run, quick, check, test, bench, docs or deb" ;;
esac

command -v dpkg-query >/dev/null ||
    fail "this machine has no dpkg: install the counterparts of$(printf ' %s' $packages)," \
        "then: python3 -m venv --system-site-packages .venv && .venv/bin/pip install -e .[dev]"

# shellcheck disable=SC2086  # a list of packages
missing=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $packages 2>/dev/null |
    awk -v wanted="$packages" '
        $2 == "installed" { there[$1] = 1 }
        END {
            count = split(wanted, name)
            for (i = 1; i <= count; i++) if (!(name[i] in there)) printf "%s%s", sep++ ? " " : "", name[i]
        }')
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || fail "run this as root once, or install by yourself: $missing"
    export DEBIAN_FRONTEND=noninteractive
    say "refreshing apt's package lists"
    quietly apt-get -q -o DPkg::Lock::Timeout=300 update
    say "installing $missing"
    # shellcheck disable=SC2086  # a list of packages
    quietly apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing
fi

[ "${1:-run}" != deb ] || exit 0 # Debian's own tools build it, and no environment

# The distribution's interpreter: its bcc bindings are installed for that one.
python=$(readlink -f /usr/bin/python3)
# Named by the interpreter: after an upgrade of the distribution the environment is made again.
stamp=.venv/.ready-$kind-${python##*/}
newest=$stamp
[ -e "$newest" ] || [ "$kind" != base ] || newest=.venv/.ready-dev-${python##*/} # has all of base
if [ -x .venv/bin/python ] && [ "$newest" -nt pyproject.toml ] && [ "$newest" -nt setup.py ]; then
    exit 0
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "probeplan needs Python 3.11 or later; this machine has $("$python" -V)"
if ! .venv/bin/python -c 'import pip' 2>/dev/null || [ "$(readlink -f .venv/bin/python)" != "$python" ]; then
    say "making the virtual environment .venv"
    quietly "$python" -m venv --clear --system-site-packages .venv
fi
extra=""
[ "$kind" = base ] || extra="[$kind]"
say "installing probeplan$extra and its Python packages into .venv"
quietly .venv/bin/python -m pip install --disable-pip-version-check --no-input \
    --config-settings editable_mode=compat --editable ".$extra"
touch "$stamp"
