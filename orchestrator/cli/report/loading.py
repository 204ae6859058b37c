"""Results as they are on disk, read for a report."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orchestrator.fleet.reading import InputFile, UnreadFile, read_document
from orchestrator.html_report.log_digest import LogDigest, digest_log
from orchestrator.html_report.model import RunSource
from orchestrator.html_report.validity import check_document
from orchestrator.output.json_codec import decode_json
from orchestrator.output.result import EVENTS_FILE, PLAN_FILE, RESULT_FILE
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.run.report.result_keeper import MemoryResult

__all__ = ["load_kept", "load_run"]

#: A longer line is no record that a run writes.
_LONGEST_LINE = 4 << 20
_LONGEST_PLAN = 4 << 20
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def load_run(path: str, log: str | None = None) -> RunSource:
    """The run whose result is in the directory or the file `path`. Its log is the directory's,
    unless `log` names one. Raises PlanError for what is no result, or cannot be read."""
    place = Path(path)
    folder = place if place.is_dir() else place.parent if place.name == RESULT_FILE else None
    file = place / RESULT_FILE if place.is_dir() else place
    try:
        document = read_document(InputFile(path=str(file), is_merge=False, linked=True))
        check_document(document)
    except UnreadFile as error:
        raise _refuse(str(file), error) from None
    run_id = str(document["run"]["run_id"])
    notes: list[str] = []
    digest = _load_log(folder, log, run_id, notes)
    return RunSource(
        name=path,
        document=document,
        plan_text=_read_plan(folder),
        log=digest,
        notes=notes,
    )


def load_kept(kept: MemoryResult) -> RunSource:
    """The run whose result was kept in memory. Raises PlanError if it was not kept."""
    if kept.result is None:
        raise PlanError([of_command_line("the run left no result")])
    document = decode_json(kept.result)
    digest = digest_log(kept.events.lines, str(document["run"]["run_id"]))
    digest.records_omitted += kept.events.records_omitted
    omitted = kept.events.lines_omitted
    notes = [f"{omitted:,} lines of the log had no place in memory, and are left out."]
    return RunSource(
        name=str(document["run"]["run_id"]),
        document=document,
        plan_text=kept.plan.decode(errors="backslashreplace"),
        log=digest,
        notes=notes if omitted else [],
    )


def _refuse(path: str, error: UnreadFile) -> PlanError:
    if error.reason == "unreadable":
        hint = "name the directory of `probeplan run --out DIR`, or its result.json"
        return PlanError([of_command_line(f"{path!r} cannot be read: {error.detail}", hint)])
    hints = {
        "torn": "copy the file again",
        "newer": "use the release of probeplan that wrote it, or a later one",
        "huge": "",
    }
    hint = hints.get(error.reason, "results are the result.json of `probeplan run --out DIR`")
    return PlanError([of_command_line(f"{path!r} is no result: {error.detail}", hint)])


def _load_log(
    folder: Path | None, log: str | None, run_id: str, notes: list[str]
) -> LogDigest | None:
    """What the log says; None without one, which is noted."""
    path = log or (None if folder is None else str(folder / EVENTS_FILE))
    if path is None or (log is None and not os.path.lexists(path)):
        notes.append("The log is not at hand: windows and records are not shown (--log FILE).")
        return None
    try:
        with _open_file(path) as file:
            digest = digest_log(_read_lines(file), run_id)
    except OSError as error:
        hint = "name the log of this run: a file of JSON lines"
        message = f"{path!r} cannot be read: {error.strerror}"
        raise PlanError([of_command_line(message, hint)]) from None
    notes.extend(_describe_reading(digest, path))
    return digest


def _describe_reading(digest: LogDigest, path: str) -> Iterator[str]:
    if digest.unread:
        yield f"{digest.unread:,} lines of {path} are no whole records, and are left out."
    if digest.foreign:
        yield f"{digest.foreign:,} lines of {path} are of other runs, and are left out."


def _open_file(path: str) -> BinaryIO:
    """A regular file. Raises OSError."""
    file = os.fdopen(os.open(path, _READ), "rb")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "it is no regular file", path)


def _read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines; one that is longer than records are comes in pieces, none of which is a record."""
    while line := file.readline(_LONGEST_LINE):
        yield line


def _read_plan(folder: Path | None) -> str | None:
    if folder is None:
        return None
    try:
        with _open_file(str(folder / PLAN_FILE)) as file:
            return file.read(_LONGEST_PLAN).decode(errors="backslashreplace")
    except OSError:
        return None
