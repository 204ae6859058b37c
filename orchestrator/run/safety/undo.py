"""Undoing what a journal lists, in one way for `cleanup` and for the watchdog.

The watchdog is a separate process that has to stay small: nothing is imported here that it does not
need, and neither `re` nor `typing`, which take as long to import as Python takes to start. Order
(measured; otherwise EBUSY): instances first, which disables the events in them
(kernel/trace/trace_events.c, event_trace_del_tracer), then the definitions of dynamic events.
"""

import errno
import os
import time

TYPE_CHECKING = False  # by its name, type checkers take it for true
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "JOURNAL_BYTES",
    "MARKER",
    "JournalEntry",
    "UndoFailure",
    "open_entries",
    "undo_entry",
    "undo_journal",
    "undo_order",
]

JournalEntry = tuple[str, str]
"""Kind and name: ("event", "group/event"), ("instance", "name") or ("marker", path)."""
UndoFailure = tuple[JournalEntry, str]
"""What could not be removed, and why."""

JOURNAL_BYTES = 16 << 20
"""No journal is longer: each of a run's events, a thousand at most, has two lines in it."""

MARKER = "marker"
"""The kind of a file that says that a run is going on: one whose process was killed is not."""
_OURS = "probeplan"
_HEX_DIGITS = frozenset("0123456789abcdef")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_BUSY_SECONDS, _BUSY_PAUSE = 3.0, 0.02  # a program's detachment lasts until after a grace period


def open_entries(body: str) -> tuple[JournalEntry, ...]:
    """The entries of a journal's lines that were created and not yet removed, in order."""
    made: list[JournalEntry] = []
    for line in body.splitlines():
        sign, _, rest = line.partition(" ")
        kind, _, what = rest.partition(" ")
        if sign == "+":
            made.append((kind, what))
        elif (kind, what) in made:
            made.remove((kind, what))
    return tuple(made)


def undo_order(entries: tuple[JournalEntry, ...]) -> tuple[JournalEntry, ...]:
    """Newest first, instances before everything else."""
    newest_first = entries[::-1]
    return tuple(sorted(newest_first, key=lambda entry: entry[0] != "instance"))


def undo_journal(
    file: int, path: str, tracefs: str
) -> tuple[list[JournalEntry], list[UndoFailure]]:
    """Remove what the journal open as `file` lists, and then the journal at `path`, which is kept
    if something could not be removed. Returns what was removed, and what could not be."""
    with open(os.dup(file), encoding="utf-8", errors="replace") as text:  # noqa: PTH123  # no path
        text.seek(0)
        _, _, body = text.read(JOURNAL_BYTES).partition("\n\n")
    removed: list[JournalEntry] = []
    failed: list[UndoFailure] = []
    for entry in undo_order(open_entries(body)):
        try:
            if undo_entry(entry, tracefs):
                removed.append(entry)
        except (OSError, ValueError) as error:
            failed.append((entry, _describe_error(error)))
    if not failed:
        _remove_if_there(os.unlink, path.removesuffix(".journal") + ".socket")
        _remove_if_there(os.unlink, path)
    return removed, failed


def undo_entry(entry: JournalEntry, tracefs: str) -> bool:
    """Remove one entry, waiting up to three seconds while it is busy; False if it is proven to be
    gone already. Raises OSError, and ValueError for a name that is not ours."""
    kind, what = entry
    if kind == "instance":
        name = what.rpartition("/")[2]
        _require_ours(_is_instance(name))
        _require_tracefs(tracefs)
        return _retry_while_busy(lambda: _remove_instance(f"{tracefs}/instances/{name}"))
    if kind == "event":
        _require_ours(_is_event(what))
        _require_tracefs(tracefs)
        return _retry_while_busy(lambda: _remove_event(what, tracefs))
    if kind == MARKER:
        _require_ours(_is_marker(what))
        return _remove_if_there(os.unlink, what)
    raise ValueError(f"this version does not know how to remove a {kind!r}")


def _require_tracefs(tracefs: str) -> None:
    """Without tracefs nothing is found there, which does not prove that it is gone."""
    if not os.path.isdir(f"{tracefs}/events"):  # noqa: PTH112  # no pathlib
        raise FileNotFoundError(errno.ENOENT, f"tracefs is not mounted at {tracefs}, or hidden")


def _require_ours(is_ours: object) -> None:
    if not is_ours:
        raise ValueError("its name is not one of ours")


def _is_instance(name: str) -> bool:
    """probeplan, then letters, digits, `_` and `-`."""
    return _is_group(name.replace("-", "_"))


def _is_event(name: str) -> bool:
    """GROUP/EVENT of letters, digits and `_`, where GROUP begins with probeplan."""
    group, _, event = name.partition("/")
    return _is_group(group) and bool(event) and event.isascii() and set(event.lower()) <= _LETTERS


def _is_group(name: str) -> bool:
    lower = name.lower()
    return name.isascii() and lower.startswith(_OURS) and set(lower) <= _LETTERS


def _is_marker(path: str) -> bool:
    """/DIRECTORY/running/RUN.json, where RUN is hexadecimal digits."""
    folder, _, name = path.rpartition("/")
    parent, run_id = folder.removesuffix("/running"), name.removesuffix(".json")
    named = run_id != name and bool(run_id) and set(run_id) <= _HEX_DIGITS
    return named and parent != folder and parent.startswith("/") and len(parent) > 1


def _retry_while_busy(remove: "Callable[[], bool]") -> bool:
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return remove()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(_BUSY_PAUSE)


def _remove_if_there(remove: "Callable[[str], None]", path: str) -> bool:
    try:
        remove(path)
    except FileNotFoundError:
        return False
    return True


def _exists(path: str) -> bool:
    """Raises OSError where that cannot be known."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _remove_instance(path: str) -> bool:
    """Looked for first: where tracefs is read-only, removing what is not there is an error too."""
    return _exists(path) and _remove_if_there(os.rmdir, path)


def _remove_event(name: str, tracefs: str) -> bool:
    """Each of the two files removes only events of one kind (kernel/trace/trace_dynevent.c,
    dyn_event_release), and answers ENOENT for the other's. A bare write would clear them all."""
    if not _exists(f"{tracefs}/events/{name}"):
        return False
    removed = False
    for file in ("kprobe_events", "uprobe_events"):
        removed = removed or _remove_if_there(
            lambda path: _append(path, f"-:{name}\n"), f"{tracefs}/{file}"
        )
    if not removed:
        raise FileNotFoundError(errno.ENOENT, "the kernel lists it, but knows no such event")
    return removed


def _append(path: str, line: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _describe_error(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EBUSY:
        return "it is still in use"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
