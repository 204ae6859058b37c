"""The file of a baseline: read with suspicion, written whole or not at all.

A check often runs as root in a folder of another user. So the file is never read or written through
a link, a new one belongs to the owner of the folder, and what cannot be understood is never
overwritten. Writers of one folder wait for each other, and each one starts from what is there then.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from orchestrator.check.baseline.model import Baseline
from orchestrator.check.baseline.text import (
    NewerBaseline,
    UnreadableBaseline,
    parse_baseline,
    show_baseline,
)
from orchestrator.output.replace_file import replace_in_folder
from orchestrator.output.safe_open import give_to_owner_of
from orchestrator.plan.findings import PlanError, Position, plan_error

__all__ = ["change_baseline", "read_baseline"]

MAX_BYTES = 256 << 20


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in a file; None where there is no such file.

    Raises PlanError: PP220 (damaged), PP221 (newer), PP222 (a link, or no file), PP223 (it cannot
    be read).
    """
    try:
        with _open_folder(path) as folder:
            return _read_in(folder, path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refuse_access(path, "read", error) from None


def change_baseline(path: Path, change: Callable[[Baseline | None], Baseline]) -> bool:
    """Replace the baseline by what `change` makes of it; False where that is the same.

    Raises PlanError as `read_baseline`, and PP223 where it cannot be written; then the file is as
    it was.
    """
    try:
        with _open_folder(path) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)
            stored = _read_in(folder, path)
            changed = change(stored)
            if changed == stored:
                return False
            text = show_baseline(changed).encode()
            replace_in_folder(folder, path.name, text, partial(give_to_owner_of, folder))
            os.fsync(folder)
            return True
    except OSError as error:
        raise _refuse_access(path, "written", error) from None


# ---------------------------------------------------------------- in a folder


@contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _read_in(folder: int, path: Path) -> Baseline | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(path.name, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refuse_link(path, "a symbolic link") from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise _refuse_link(path, "not a regular file")
        with os.fdopen(file, "rb", closefd=False) as source:
            text = source.read(MAX_BYTES + 1)
    finally:
        os.close(file)
    return _parse(text, path)


def _parse(text: bytes, path: Path) -> Baseline:
    if len(text) > MAX_BYTES:
        raise _refuse_text(path, f"it is larger than {MAX_BYTES >> 20} MiB")
    try:
        return parse_baseline(text)
    except NewerBaseline as error:
        hint = "update probeplan, or name another file with `baseline:`"
        message = f"the baseline cannot be read: {error}"
        raise plan_error("PP221", message, Position(file=str(path)), hint) from None
    except UnreadableBaseline as error:
        raise _refuse_text(path, str(error)) from None


# ---------------------------------------------------------------- refusals


def _refuse_text(path: Path, why: str) -> PlanError:
    hint = "restore it from version control, or delete it and record again with --update new"
    message = f"the baseline is damaged: {why}"
    return plan_error("PP220", message, Position(file=str(path)), hint)


def _refuse_link(path: Path, what: str) -> PlanError:
    hint = "put the file itself there, or name its place with `baseline:`"
    return plan_error("PP222", f"the baseline is {what}", Position(file=str(path)), hint)


def _refuse_access(path: Path, done: str, error: OSError) -> PlanError:
    hint = "make the folder writable, or name another file with `baseline:`"
    message = f"the baseline cannot be {done}: {error.strerror}"
    return plan_error("PP223", message, Position(file=str(path)), hint)
