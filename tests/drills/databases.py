"""Debian's PostgreSQL and MariaDB, each with its files in one folder, and clients that speak as
much of their protocols as a drill needs."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.projects import MARIADB, POSTGRES, find_project

__all__ = ["MariaDb", "Postgres", "mariadb_program", "postgres_program", "run_mariadb"]
__all__ += ["run_postgres"]

_PATIENCE_S = 60
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_OTHER_USER = 65534
_COM_QUERY = 3
#: FROM, TO, the command: as a user who is not root, as PostgreSQL wants it, with the program's
#: folder where that user can reach it.
_AS_ANOTHER = """
mount --bind "$1" "$2"
shift 2
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


def postgres_program() -> Path:
    """The server, of whichever release Debian has."""
    [program] = find_project(POSTGRES).glob("usr/lib/postgresql/*/bin/postgres")
    return program


def mariadb_program() -> Path:
    return find_project(MARIADB) / "usr/sbin/mariadbd"


class _Session:
    """A connection to the socket at a path."""

    def __init__(self, path: str) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(_PATIENCE_S)
        self._connection.connect(path)
        self._stream = self._connection.makefile("rb")

    def close(self) -> None:
        self._stream.close()
        self._connection.close()


class Postgres(_Session):
    """A session: simple queries, and statements that are prepared first."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        words = struct.pack("!i", 196608) + b"user\0drill\0database\0postgres\0\0"
        self._connection.sendall(struct.pack("!i", len(words) + 4) + words)
        self.pid = self._wait_ready()

    def query(self, text: str) -> None:
        """Sends it, and waits until the server is ready for the next."""
        self.start(text)
        self._wait_ready()

    def start(self, text: str) -> None:
        """Sends it."""
        self._send(b"Q", text.encode() + b"\0")

    def wait(self) -> None:
        """Until the server is ready for the next; AssertionError where it reports an error."""
        self._wait_ready()

    def query_prepared(self, text: str) -> None:
        """The same by the extended protocol: parse, bind, execute, sync."""
        self._send(b"P", b"\0" + text.encode() + b"\0" + struct.pack("!h", 0))
        self._send(b"B", b"\0\0" + struct.pack("!hhh", 0, 0, 0))
        self._send(b"E", b"\0" + struct.pack("!i", 0))
        self._send(b"S", b"")
        self._wait_ready()

    def _send(self, kind: bytes, words: bytes) -> None:
        self._connection.sendall(kind + struct.pack("!i", len(words) + 4) + words)

    def _wait_ready(self) -> int:
        """Reads until ReadyForQuery; the server process's number where it says so."""
        pid = 0
        while True:
            kind, size = struct.unpack("!ci", self._stream.read(5))
            words = self._stream.read(size - 4)
            assert kind != b"E", words
            if kind == b"K":
                pid = struct.unpack("!i", words[:4])[0]
            if kind == b"Z":
                return int(pid)


@contextmanager
def run_postgres() -> Iterator[str]:
    """The socket of a server that waits for no disk; as another user, since it refuses root."""
    root = find_project(POSTGRES)
    with _folder() as folder:
        here = folder / "postgres"
        here.mkdir()
        enter = ["unshare", "--mount", "sh", "-euc", _AS_ANOTHER, "sh", str(root), str(here)]
        programs = here / postgres_program().parent.relative_to(root)
        words = ["-D", f"{folder}/data", "-U", "drill", "-A", "trust", "--no-sync", "-E", "UTF8"]
        _run_to_end([*enter, str(programs / "initdb"), *words, "--locale=C"], folder, here)
        socket_file = folder / ".s.PGSQL.5432"
        words = ["-D", f"{folder}/data", "-k", str(folder), "-c", "listen_addresses=", "-F"]
        with _daemon(
            [*enter, str(programs / "postgres"), *words], folder, here, signal.SIGINT
        ) as server:
            _wait_for(lambda: Postgres(str(socket_file)).close(), server, folder)
            yield str(socket_file)


class MariaDb(_Session):
    """A session of a server without accounts."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._read_packet()
        # CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION; the largest packet, and utf8mb4
        words = struct.pack("<IIB23x", 0x8200, 1 << 24, 45) + b"drill\0\0"
        self._send(1, words)
        self._check(self._read_packet())

    def query(self, text: str) -> None:
        """Sends it, and reads all of its answer."""
        self._send(0, bytes([_COM_QUERY]) + text.encode())
        first = self._read_packet()
        self._check(first)
        ends = 0 if first[0] == 0 else 2  # after the columns, and after the rows
        while ends:
            packet = self._read_packet()
            self._check(packet)
            ends -= packet[0] == 0xFE and len(packet) < 9

    def _send(self, number: int, words: bytes) -> None:
        self._connection.sendall(struct.pack("<I", len(words) | number << 24) + words)

    def _read_packet(self) -> bytes:
        head = struct.unpack("<I", self._stream.read(4))[0]
        return self._stream.read(head & 0xFFFFFF)

    def _check(self, packet: bytes) -> None:
        assert packet[0] != 0xFF, packet


@contextmanager
def run_mariadb() -> Iterator[str]:
    """The socket of a server without accounts, whose tables are files of MyISAM."""
    program = mariadb_program()
    share = find_project(MARIADB) / "usr/share/mysql"
    with _folder() as folder:
        (folder / "data").mkdir()
        words = ["--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/socket"]
        words += ["--skip-grant-tables", "--skip-networking", "--skip-innodb", "--skip-log-bin"]
        words += ["--default-storage-engine=MyISAM", f"--lc-messages-dir={share}"]
        words += [f"--character-sets-dir={share}/charsets", f"--pid-file={folder}/pid"]
        words += [f"--plugin-dir={folder}", "--user=root"]
        with _daemon([str(program), *words], folder, find_project(MARIADB)) as server:
            _wait_for(lambda: MariaDb(f"{folder}/socket").close(), server, folder)
            yield f"{folder}/socket"


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that another user can reach, unlike the test's."""
    folder = Path(tempfile.mkdtemp(prefix="probeplan-drill-"))
    os.chown(folder, _OTHER_USER, _OTHER_USER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(root / _LIBRARIES)}


def _run_to_end(words: list[str], folder: Path, root: Path) -> None:
    done = subprocess.run(
        words,
        env=_environment(root),
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=_PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def _daemon(
    words: list[str], folder: Path, root: Path, end: signal.Signals = signal.SIGTERM
) -> "Iterator[subprocess.Popen[bytes]]":
    """`end`: the signal that ends it, whether or not clients are connected."""
    with (folder / "out").open("wb") as out:
        daemon = subprocess.Popen(
            words,
            env=_environment(root),
            cwd=folder,
            stdout=out,
            stderr=out,
        )
    try:
        yield daemon
    finally:
        daemon.send_signal(end)
        daemon.wait(_PATIENCE_S)


def _wait_for(connect: Callable[[], None], server: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Until `connect` works; raises AssertionError with what the server said if it never does."""
    deadline = time.monotonic() + _PATIENCE_S
    while not _works(connect):
        said = (folder / "out").read_text(errors="replace")
        assert server.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def _works(connect: Callable[[], None]) -> bool:
    try:
        connect()
    except (OSError, struct.error, AssertionError):
        return False
    return True
