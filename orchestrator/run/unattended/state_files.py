"""Small files of JSON that hold after a crash of the host: written whole, synced to disk with their
names, in directories that no other user can write to.

Nothing is followed: neither a link in the place of a file, nor one in the place of its directory.
"""

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.output.replace_file import replace_in_folder
from orchestrator.output.safe_open import resolve_entry

__all__ = [
    "DIRECTORY_FLAGS",
    "FILE_FLAGS",
    "DamagedState",
    "digest_of",
    "field_of",
    "is_digest",
    "list_names",
]
__all__ += ["open_private_directory", "private_directory", "read_state", "remove_state"]
__all__ += ["write_state"]

_MOST_BYTES = 1 << 16
_DIGITS = 64
_SUFFIX = ".json"
_TEMPORARY = ".probeplan."  # as replace_in_folder begins its names
_TEMPORARY_S = 60  # no write takes that long
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
#: Never through a link, and never waiting for a pipe's writer.
DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_Value = TypeVar("_Value", str, int)


class DamagedState(Exception):
    """The file is there, and does not say what it was written for; the text says why."""


@contextmanager
def private_directory(path: Path, *, make: bool = False) -> Iterator[int]:
    """`open_private_directory`, closed at the end."""
    directory = open_private_directory(path, make=make)
    try:
        yield directory
    finally:
        os.close(directory)


def open_private_directory(path: Path, *, make: bool = False) -> int:
    """A descriptor of the directory `path`. `make`: it and its parents are made with mode 0700 if
    they are missing, and their names are synced.

    Raises FileNotFoundError where it is missing, and OSError with a reason where it is a link, or
    belongs to another user, or another user can write to it.
    """
    try:
        place = resolve_entry(path, last_link=False)
    except FileNotFoundError:
        if not make:
            raise
        os.close(open_private_directory(path.parent, make=True))
        place = resolve_entry(path, last_link=False)
    try:
        if make and place.status() is None:
            _make_directory(place.parent, place.name)
        directory = os.open(place.name, DIRECTORY_FLAGS, dir_fd=place.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(place.parent)
    try:
        _check_private(directory, path)
    except OSError:
        os.close(directory)
        raise
    return directory


def _make_directory(parent: int, name: str) -> None:
    with suppress(FileExistsError):  # made by another run in the meantime
        os.mkdir(name, 0o700, dir_fd=parent)
    readable = os.open(".", DIRECTORY_FLAGS, dir_fd=parent)  # `parent` is an O_PATH descriptor
    try:
        os.fsync(readable)
    finally:
        os.close(readable)


def _check_private(directory: int, path: Path) -> None:
    status = os.fstat(directory)
    if status.st_uid not in (0, os.geteuid()):
        why = f"it belongs to user {status.st_uid}; chown root: {path}"
        raise PermissionError(1, f"not used: {why}", os.fspath(path))
    if status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        why = f"other users can write to it (mode {mode:04o}); chmod go-w {path}"
        raise PermissionError(1, f"not used: {why}", os.fspath(path))


# ---------------------------------------------------------------- files


def write_state(directory: int, name: str, fields: Mapping[str, Any], *, lock: bool = False) -> int:
    """Put `fields` into the file NAME.json of an open directory, in place of what has the name now.
    Mode 0600; on disk when this returns. `lock`: returns a descriptor that holds an flock(2) on the
    file, so that it is known whether its owner lives; else returns -1. Raises OSError."""
    held: list[int] = []

    def prepare(file: int) -> None:
        os.fchmod(file, 0o600)
        if lock:
            held.append(os.dup(file))
            _lock_file(held[0])

    _remove_torn(directory)
    try:
        text = json.dumps(fields, indent=1) + "\n"
        replace_in_folder(directory, name + _SUFFIX, text.encode(), prepare)
        os.fsync(directory)
    except BaseException:
        for file in held:
            os.close(file)
        raise
    return held[0] if held else -1


def _lock_file(file: int) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def read_state(directory: int, name: str) -> dict[str, Any]:
    """The fields of the file NAME.json in an open directory. Raises FileNotFoundError where there
    is none, and DamagedState for whatever else is there."""
    try:
        file = os.open(name + _SUFFIX, FILE_FLAGS, dir_fd=directory)
        with os.fdopen(file, "rb") as source:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise DamagedState("it is not a regular file")
            text = source.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedState(f"it cannot be read: {error.strerror}") from None
    if len(text) > _MOST_BYTES:
        raise DamagedState(f"it is larger than {_MOST_BYTES >> 10} KiB")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedState("it is not JSON") from None
    if not isinstance(fields, dict):
        raise DamagedState("it is not a JSON object")
    return fields


def field_of(fields: Mapping[str, Any], name: str, kind: type[_Value]) -> _Value:
    """The field `name`, which has to be a text that can be shown, or a number from 0 to 2^63.
    Raises DamagedState."""
    value = fields.get(name)
    if type(value) is not kind:
        raise DamagedState(f"its field {name!r} is missing or of another kind")
    if isinstance(value, str) and not value.isprintable():
        raise DamagedState(f"its field {name!r} has control characters")
    if isinstance(value, int) and not 0 <= value < 1 << 63:
        raise DamagedState(f"its field {name!r} is out of range")
    return value


def digest_of(fields: Mapping[str, Any]) -> str:
    """The field `plan_digest`. Raises DamagedState."""
    digest = field_of(fields, "plan_digest", str)
    if not is_digest(digest):
        raise DamagedState("its field 'plan_digest' is not the SHA-256 of a plan")
    return digest


def is_digest(text: str) -> bool:
    """Whether it is a SHA-256 in hexadecimal digits."""
    return len(text) == _DIGITS and not text.strip("0123456789abcdef")


def list_names(directory: int) -> list[str]:
    """The names of the state files in an open directory, without `.json`, in order."""
    names = os.listdir(directory)
    shown = (name for name in names if name.endswith(_SUFFIX) and not name.startswith("."))
    return sorted(name.removesuffix(_SUFFIX) for name in shown)


def remove_state(directory: int, name: str) -> bool:
    """Remove NAME.json for good, not what it links to; whether it was there. Raises OSError."""
    try:
        os.unlink(name + _SUFFIX, dir_fd=directory)
    except FileNotFoundError:
        return False
    os.fsync(directory)
    return True


def _remove_torn(directory: int) -> None:
    """Remove what writers that were killed have left."""
    for name in os.listdir(directory):
        if name.startswith(_TEMPORARY):
            with suppress(OSError):  # its writer or another one was quicker
                written = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime
                if abs(time.time() - written) > _TEMPORARY_S:
                    os.unlink(name, dir_fd=directory)
