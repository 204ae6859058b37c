"""Compiled instructions on disk, so that a plan that ran before starts without a compiler.

A file is used only if its digest matches and its directory is our own: its content is loaded into
the kernel.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from orchestrator.backends.cache_directory import cache_directory, check_own

KEPT_FILES = 2_000  # about 13 KB each
NEW = ".new-"
TORN_SECONDS = 60  # no write takes that long
INSTRUCTION_SIZE = 8  # struct bpf_insn, include/uapi/linux/bpf.h


def make_key(text: str, functions: Sequence[str], *, headers: Path, flags: Sequence[str]) -> str:
    """A name for everything that the instructions depend on: 64 hexadecimal digits."""
    parts = [
        text,
        *functions,
        *flags,
        platform.machine(),
        read_bcc_version(),
        _digest_tree(headers),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def read_bcc_version() -> str:
    """The installed bcc's version line, read without importing it; "absent" without bcc."""
    spec = find_spec("bcc")
    if spec is None or spec.origin is None:
        return "absent"
    try:
        return Path(spec.origin).with_name("version.py").read_text()
    except OSError:
        return "unknown"


@cache
def _digest_tree(headers: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(headers.rglob("*.h")):
        digest.update(f"{path.relative_to(headers)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def read_compiled(key: str, functions: Sequence[str]) -> dict[str, bytes] | None:
    """The kept instructions by function, or None when there are none that can be trusted."""
    directory = cache_directory()
    if directory is None:
        return None
    try:
        file = check_own(directory) / key
        compiled = _decode_compiled(file.read_bytes(), functions)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with contextlib.suppress(OSError):  # a read-only file system does no harm
        os.utime(file)  # files in use are kept longest
    return compiled


def write_compiled(key: str, compiled: Mapping[str, bytes]) -> None:
    """Store instructions, atomically. An unwritable directory is not an error: we compile again."""
    directory = cache_directory()
    if directory is None:
        return
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=check_own(directory), prefix=NEW)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_encode_compiled(compiled))
            Path(name).replace(directory / key)
            _prune_files(directory)
        except OSError:
            Path(name).unlink()


def _prune_files(directory: Path) -> None:
    """Delete the oldest files beyond KEPT_FILES, and what a killed writer left."""
    files = sorted(directory.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    torn = [file for file in files if file.name.startswith(NEW) and _age_s(file) > TORN_SECONDS]
    for file in (*files[:-KEPT_FILES], *torn):
        file.unlink(missing_ok=True)


def _age_s(file: Path) -> float:
    return time.time() - file.stat().st_mtime


def _encode_compiled(compiled: Mapping[str, bytes]) -> bytes:
    body = json.dumps({name: b64encode(code).decode() for name, code in compiled.items()}).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _decode_compiled(kept: bytes, functions: Sequence[str]) -> dict[str, bytes]:
    digest, _, body = kept.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("the digest does not match")
    table = json.loads(body)
    compiled = {name: b64decode(table[name], validate=True) for name in functions}
    if any(not code or len(code) % INSTRUCTION_SIZE for code in compiled.values()):
        raise ValueError("not a whole number of instructions")
    return compiled
