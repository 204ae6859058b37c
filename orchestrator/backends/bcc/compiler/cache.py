"""Compiled instructions on disk, so that a plan that ran before starts without a compiler.

The numbers that a text leaves open are no part of them: a plan that ran with another target, or on
another kernel of the same shape, starts without a compiler too. A file is used only if its digest
matches and its directory is our own: its content is loaded into the kernel.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from orchestrator.backends.bcc.compiler.places import OpenPlace, OpenProgram, PlaceForm
from orchestrator.backends.cache_directory import cache_directory, check_own

KEPT_FILES = 2_000  # about 13 KB each
NEW = ".new-"
TORN_SECONDS = 60  # no write takes that long
INSTRUCTION_SIZE = 8  # struct bpf_insn, include/uapi/linux/bpf.h


def read_compiled(key: str, functions: Sequence[str]) -> OpenProgram | None:
    """The kept instructions, or None when there are none that can be trusted."""
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


def write_compiled(key: str, compiled: OpenProgram) -> None:
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


def _encode_compiled(compiled: OpenProgram) -> bytes:
    code = {name: b64encode(function).decode() for name, function in compiled.code.items()}
    places = [
        [place.function, place.instruction, place.form, place.slot] for place in compiled.places
    ]
    body = json.dumps({"code": code, "places": places}).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _decode_compiled(kept: bytes, functions: Sequence[str]) -> OpenProgram:
    digest, _, body = kept.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("the digest does not match")
    table = json.loads(body)
    code = {name: b64decode(table["code"][name], validate=True) for name in functions}
    if any(not function or len(function) % INSTRUCTION_SIZE for function in code.values()):
        raise ValueError("not a whole number of instructions")
    return OpenProgram(code=code, places=tuple(_decode_place(*row) for row in table["places"]))


def _decode_place(function: str, instruction: int, form: PlaceForm, slot: int) -> OpenPlace:
    if form not in get_args(PlaceForm) or not all(isinstance(n, int) for n in (instruction, slot)):
        raise ValueError("not a place")
    return OpenPlace(function=function, instruction=instruction, form=form, slot=slot)
