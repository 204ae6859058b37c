#!/bin/sh
# Fetches the programs of others that tests run: pluggy's sources and Debian's nginx, whose checks are
# tested (examples/projects); Debian's sshd and sudo, for the hosts of tests/support/netlab.py; Debian's prometheus
# and node_exporter, which scrape what is exported; and a server that takes OTLP, VictoriaMetrics of
# Debian 13 (that of Debian 12 is too old); and for the drills Debian's redis, dnsmasq,
# PostgreSQL and MariaDB; and podman, whose containers are named. Daemons are unpacked and not installed, so that no service is
# set up. Does nothing where they are.
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

refresh_lists() {
    apt-get -qq -o DPkg::Lock::Timeout=300 update
}

# unpack FOLDER PACKAGE...: Debian packages into one folder of the cache.
unpack() {
    folder=$1
    shift
    echo "setup: fetching $folder" >&2
    mkdir "$work/debs"
    # _apt, as which apt downloads, has to be able to write there.
    (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@") || {
        refresh_lists
        (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@")
    }
    for deb in "$work"/debs/*.deb; do
        dpkg-deb --extract "$deb" "$work/$folder"
    done
    rm -rf "$work/debs" "${cache:?}/$folder"
    mv "$work/$folder" "$cache/"
}

# The libraries that installing a package would bring to this machine.
new_libraries() {
    steps=$(apt-get --simulate --no-install-recommends install "$1") || return
    echo "$steps" | awk '/^Inst lib/ { print $2 }'
}

[ -x "$cache/nginx/usr/sbin/nginx" ] || unpack nginx nginx

[ -x "$cache/prometheus/usr/bin/prometheus" ] || unpack prometheus prometheus prometheus-node-exporter

# unpack_daemon FOLDER PROGRAM PACKAGE...: a daemon, with the libraries that this machine lacks.
unpack_daemon() {
    folder=$1 program=$2
    shift 2
    [ ! -x "$cache/$folder/$program" ] || return 0
    libraries=$(new_libraries "$1") || {
        refresh_lists
        libraries=$(new_libraries "$1")
    }
    # shellcheck disable=SC2086  # a list of packages
    unpack "$folder" "$@" $libraries
}

# unpack_database FOLDER PROGRAM PACKAGE: a database server, with the libraries that this machine lacks,
# and without those for compiling queries, which are as large as all else here.
unpack_database() {
    folder=$1 program=$2
    [ ! -x "$cache/$folder/$program" ] || return 0
    libraries=$(new_libraries "$3" | grep -vE '^lib(llvm|z3)') || {
        refresh_lists
        libraries=$(new_libraries "$3" | grep -vE '^lib(llvm|z3)') || libraries=
    }
    # shellcheck disable=SC2086  # a list of packages
    unpack "$folder" "$3" $libraries
}

unpack_daemon sshd usr/sbin/sshd openssh-server openssh-sftp-server
unpack_daemon sudo usr/bin/sudo sudo
unpack_daemon redis usr/bin/redis-server redis-server redis-tools
unpack_daemon dnsmasq usr/sbin/dnsmasq dnsmasq-base
unpack_daemon podman usr/bin/podman podman crun conmon
name_postgres() {
    apt-cache depends postgresql 2>/dev/null | awk '/Depends: postgresql-[0-9]/ { print $2; exit }'
}
postgres=$(name_postgres)
[ -n "$postgres" ] || { # the lists of packages are empty
    refresh_lists
    postgres=$(name_postgres)
}
unpack_database postgres "usr/lib/postgresql/${postgres#postgresql-}/bin/postgres" "$postgres"
unpack_database mariadb usr/sbin/mariadbd mariadb-server-core

if [ ! -x "$cache/victoria-metrics/usr/bin/victoria-metrics" ]; then
    echo "setup: fetching victoria-metrics" >&2
    .venv/bin/python scripts/download_package.py trixie victoria-metrics "$work"
    # Of its programs the server is enough.
    mkdir "$work/victoria-metrics"
    dpkg-deb --fsys-tarfile "$work"/victoria-metrics_*.deb |
        tar -x -C "$work/victoria-metrics" ./usr/bin/victoria-metrics
    rm -rf "$cache/victoria-metrics"
    mv "$work/victoria-metrics" "$cache/"
fi
