"""A name for everything that a prepared plan depends on, but for what was looked at in the system's
files, which is compared itself (`orchestrator.kernel.tree`)."""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.backends.bcc.compiler import key
from orchestrator.backends.kept_files import LARGE
from orchestrator.plan.document.source import XZ_MAGIC
from orchestrator.values import dataclass

__all__ = ["Request", "describe_host", "make_name", "make_names"]

FORMAT = "probeplan-prepared/1"
_PACKAGE = Path(__file__).parents[2]
#: Of /proc/self/status: what this process may do.
_RIGHTS = ("Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp")
_NAMESPACES = ("mnt", "pid", "user")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a run was asked for: the plan's bytes and the name of their file; what the command line
    changes of it (by option, in order); the backend; whether descendants are followed; and the
    policies' files, with their bytes."""

    content: bytes
    file: str
    overrides: Mapping[str, Mapping[str, str]]
    backend: str
    follow_children: bool
    policies: tuple[tuple[str, bytes], ...]


def make_name(request: Request) -> str:
    """A name for what is kept of this request on this host, by this probeplan. Raises OSError where
    the host does not say what it is."""
    [name] = make_names([request])
    return name


def make_names(requests: Sequence[Request]) -> list[str]:
    """As `make_name`, looking at the host and the program once."""
    common = _add_parts(hashlib.sha256(), (FORMAT, *describe_host(), *_describe_program()))
    digests = (_add_parts(common.copy(), _describe_request(request)) for request in requests)
    return [f"{LARGE}{digest.hexdigest()}" for digest in digests]


def _add_parts(digest: "hashlib._Hash", parts: Iterable[str | bytes]) -> "hashlib._Hash":
    for part in parts:
        content = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        digest.update(b"%d:" % len(content))  # so that no two lists of parts are one text
        digest.update(content)
    return digest


def _describe_request(request: Request) -> Iterator[str | bytes]:
    yield request.content
    yield request.file
    yield request.backend
    yield str(request.follow_children)
    yield _describe_compiler(request)
    for option, changes in request.overrides.items():
        for name, value in changes.items():
            yield from (option, name, value)
    for file, content in request.policies:
        yield from ("policy", file, content)


def _describe_compiler(request: Request) -> str:
    """Without a compiler another backend may be taken. A bundle's programs need none."""
    if request.content.startswith(XZ_MAGIC):
        return ""
    return key.read_compiler_version()


def describe_host(root: Path = Path("/")) -> Iterator[str | bytes]:
    """The kernel that runs, since when, with which modules; and what this process may do there.
    Raises OSError."""
    yield (root / "proc/sys/kernel/random/boot_id").read_bytes()
    yield (root / "proc/sys/kernel/osrelease").read_bytes()
    yield os.uname().machine
    yield _read(root / "sys/kernel/notes")  # with the build id
    yield from _list_modules(_read(root / "proc/modules"))
    status = (root / "proc/self/status").read_text(errors="replace")
    yield "".join(line for line in status.splitlines(True) if line.startswith(_RIGHTS))
    yield ":".join(str((root / f"proc/self/ns/{name}").readlink()) for name in _NAMESPACES)


def _read(path: Path) -> bytes:
    """A file that not every kernel has."""
    try:
        return path.read_bytes()
    except OSError as error:
        return str(error.errno).encode()


def _list_modules(text: bytes) -> Iterator[bytes]:
    """Name, size, state and address of each: not by how many they are used, which changes."""
    for line in text.splitlines():
        words = line.split()
        yield b" ".join([*words[:2], *words[4:]])


def _describe_program() -> Iterator[str]:
    """This release of probeplan and this Python. A source tree may change between two runs."""
    yield sys.version
    yield sys.prefix
    yield str(_PACKAGE)
    yield from sorted(_list_files(str(_PACKAGE)))
    yield from sorted(_list_files(str(_PACKAGE.parent / "schema")))


def _list_files(folder: str) -> Iterator[str]:
    """Name, size and time of all files below, but for what Python itself keeps there."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != "__pycache__":
                yield from _list_files(entry.path)
        else:
            status = entry.stat()
            yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"
