"""The files of a merge: which there are, and each as a document or with the reason why it is none.

Files come from other machines, and one of them may be torn, foreign, or made to harm: none is read
beyond a bound, none is waited for, and no link below a directory is followed.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from orchestrator.output.json_codec import decode_json

__all__ = ["InputFile", "UnreadFile", "UnreadReason", "expect_whole", "list_inputs"]
__all__ += ["read_document"]

#: Why a file is not added: it ends too early or is not JSON; it is something else; it is larger
#: than a result may be; it cannot be read; a later version wrote it; its runs count already.
UnreadReason = Literal["torn", "foreign", "huge", "unreadable", "newer", "overlapping"]
#: The largest result, and the largest merge of results.
MOST_RESULT_BYTES, MOST_MERGE_BYTES = 16 << 20, 1 << 30
_RESULT_NAME = "result.json"
_MERGE_MARK = b'"probeplan-merge/'
_PEEKED = 64
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class UnreadFile(Exception):
    """A file that is not added; the text is a detail for people."""

    def __init__(self, reason: UnreadReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: UnreadReason = reason
        self.detail = detail


@contextmanager
def expect_whole(what: str) -> Iterator[None]:
    """Raises UnreadFile where a document turns out to lack something, or to have another type or
    number there."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        detail = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UnreadFile("foreign", f"it is no whole {what}: {detail}") from None


class InputFile(NamedTuple):
    """A file that may be a result, or a merge of results. `linked`: its last part may be a link."""

    path: str
    is_merge: bool
    linked: bool = False


def list_inputs(paths: Iterable[str], ignored: str | None = None) -> list[InputFile]:
    """All files that are named, and all *.json below the directories that are; merges of results
    come first, and both are sorted by path. `ignored`: a directory that is passed over. Raises
    OSError for what cannot be looked into."""
    found: dict[str, InputFile] = {}
    passed_over = None if ignored is None else os.path.realpath(ignored)
    for path in paths:
        real = os.path.realpath(path)
        if not stat.S_ISDIR(Path(path).stat().st_mode):
            found.setdefault(real, _make_input(path, linked=True))
            continue
        directory = path.rstrip("/") or "/"
        for name in _walk(directory):
            below = real + name[len(directory) :]
            if passed_over is None or not below.startswith(f"{passed_over}/"):
                found.setdefault(below, _make_input(name, linked=False))
    return sorted(found.values(), key=lambda file: (not file.is_merge, file.path))


def _walk(directory: str) -> Iterator[str]:
    """All *.json below a directory; links are files."""
    waiting = [directory]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name.endswith(".json"):
                    yield entry.path


def _make_input(path: str, *, linked: bool) -> InputFile:
    """Results have the name that runs give them; only other files are looked into."""
    is_merge = not path.endswith(f"/{_RESULT_NAME}") and _MERGE_MARK in _peek(path)
    return InputFile(path=path, is_merge=is_merge, linked=linked)


def _peek(path: str) -> bytes:
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _PEEKED) if _is_file(descriptor) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def read_document(file: InputFile) -> dict[str, Any]:
    """The JSON object in a file. Raises UnreadFile."""
    try:
        content = _read_bounded(file)
    except OSError as error:
        raise UnreadFile("unreadable", error.strerror or "unknown error") from None
    try:
        document = decode_json(content)
    except ValueError as error:  # also of bytes that are no UTF-8, and of values nested too deeply
        if content.lstrip()[:1] in (b"{", b""):
            raise UnreadFile("torn", str(error)) from None
        raise UnreadFile("foreign", f"it is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise UnreadFile("foreign", "it is no JSON object")
    return document


def _read_bounded(file: InputFile) -> bytes:
    most = MOST_MERGE_BYTES if file.is_merge else MOST_RESULT_BYTES
    descriptor = os.open(file.path, _READ | (0 if file.linked else os.O_NOFOLLOW))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadFile("foreign", "it is no regular file")
        if status.st_size > most:
            raise UnreadFile(
                "huge", f"it has {status.st_size:,} bytes, and at most {most:,} are read"
            )
        content = os.read(descriptor, status.st_size + 1)
        while len(content) < status.st_size and (more := os.read(descriptor, status.st_size)):
            content += more
        return content
    finally:
        os.close(descriptor)
