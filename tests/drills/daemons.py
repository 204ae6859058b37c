"""Debian's nginx and redis, each with its files in one folder, on a free port of 127.0.0.1; and
dnsmasq, in a network where nothing else is."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.projects import DNSMASQ, NGINX, REDIS, find_project

__all__ = ["Redis", "look_up", "run_nginx", "run_redis"]

_PATIENCE_S = 60
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_NGINX = """\
daemon off;
master_process off;
user root;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""
#: resolv.conf, the name, and the server's command line.
_LOOK_UP = """
resolver=$1 name=$2
shift 2
ip link set lo up
ip address add 192.0.2.1/32 dev lo  # without an address but 127.0.0.1, IPv4 is not asked for
mount --bind "$resolver" /etc/resolv.conf
LD_LIBRARY_PATH=$LIBRARIES "$@" >&2 &
until grep -q ':0035 ' /proc/net/udp; do sleep 0.05; done
getent ahostsv4 "$name"
"""


def find_free_port() -> int:
    """A port of 127.0.0.1 that no one uses now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Redis:
    """A client of one connection; replies are returned as they are on the wire, one line each."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self._connection = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
        self._replies = self._connection.makefile("rb")

    def call(self, *words: str) -> bytes:
        """The first line of the reply to a command."""
        request = f"{' '.join(words)}\r\n"
        self._connection.sendall(request.encode())
        return self._replies.readline().rstrip()

    def close(self) -> None:
        self._replies.close()
        self._connection.close()


@contextmanager
def run_redis(folder: Path, *options: str) -> Iterator[Redis]:
    """A server that keeps nothing, unless `options` say so, and a client of it."""
    port = find_free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with _run(REDIS, "usr/bin/redis-server", [*words, *options], folder) as pid:
        _wait_for_port(port)
        client = Redis(port, pid)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def run_nginx(folder: Path) -> Iterator[tuple[int, int]]:
    """Its port and pid; it serves the folder's files, one process for all."""
    port = find_free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port))
    with _run(NGINX, "usr/sbin/nginx", ["-p", str(folder), "-c", str(config)], folder) as pid:
        _wait_for_port(port)
        yield port, pid


def look_up(folder: Path, name: str, address: str) -> bytes:
    """What `getent ahostsv4 NAME` prints where the name server is dnsmasq, which knows that name
    alone; in a network of this one test, so that the server has the usual port."""
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    root = find_project(DNSMASQ)
    words = [str(root / "usr/sbin/dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null"]
    words += ["--no-resolv", "--no-hosts", "--user=root", f"--pid-file={folder}/dnsmasq.pid"]
    words += ["--listen-address=127.0.0.1", "--bind-interfaces", f"--address=/{name}/{address}"]
    enter = [
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "sh",
        "-euc",
    ]
    done = subprocess.run(
        [*enter, _LOOK_UP, "sh", str(resolver), name, *words],
        env={**os.environ, "LIBRARIES": str(root / _LIBRARIES)},
        capture_output=True,
        check=False,
        timeout=_PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@contextmanager
def _run(project: str, program: str, words: Sequence[str], folder: Path) -> Iterator[int]:
    """The pid of a daemon that ends with the block."""
    root = find_project(project)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(root / _LIBRARIES)}
    with (folder / f"{project}.out").open("wb") as out:
        daemon = subprocess.Popen(
            [root / program, *words], stdout=out, stderr=out, env=environment, cwd=folder
        )
    try:
        yield daemon.pid
    finally:
        daemon.terminate()
        daemon.wait(_PATIENCE_S)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens on {port}"
            time.sleep(0.05)
        else:
            return
