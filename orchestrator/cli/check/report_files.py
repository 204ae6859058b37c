"""Reports as files: refused before anything is measured, written once all is judged."""

import argparse
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from orchestrator.cli import report_error
from orchestrator.cli.messages import print_note
from orchestrator.plan.findings import PlanError, of_command_line

if TYPE_CHECKING:
    from orchestrator.check.model import Check
    from orchestrator.check.report.check_report import CheckReport

__all__ = ["refuse_reports", "write_reports"]

#: Those that are written whole, by the option that names their file.
_WHOLE = ("junit", "openmetrics", "bmf")
#: Those that know a check by its name alone.
_BY_NAME = ("openmetrics", "bmf", "csv")
_LEAST_JUNITPARSER = 5


def refuse_reports(args: argparse.Namespace, checks: "Sequence[Check]") -> None:
    """Raise PlanError or OSError for a report that could not be written."""
    files = {name: getattr(args, name) for name in ("out", *_WHOLE, "csv") if getattr(args, name)}
    if not files.keys() - {"out"}:
        return
    _require_apart(files)
    if args.junit:
        _require_junitparser()
    for option in (name for name in _BY_NAME if name in files):
        _require_unlike_names(checks, option)
    from orchestrator.output.replace_file import check_replaceable

    for name in _WHOLE:
        if name in files:
            check_replaceable(files[name])
    if args.csv:
        _refuse_csv(args.csv, checks)


def write_reports(args: argparse.Namespace, reports: "Sequence[CheckReport]") -> list[int]:
    """Write all reports that are asked for; returns the exit codes of those that failed."""
    codes = []
    for write in _list_writers(args, reports):
        try:
            write()
        except Exception as error:  # the other reports are written all the same
            codes.append(report_error(error))
    return codes


def _list_writers(
    args: argparse.Namespace, reports: "Sequence[CheckReport]"
) -> Iterator[Callable[[], None]]:
    if args.junit:
        yield lambda: _write_junit(args, reports)
    if args.openmetrics:
        yield lambda: _write_openmetrics(args.openmetrics, reports)
    if args.bmf:
        yield lambda: _write_bmf(args.bmf, reports)
    if args.csv:
        yield lambda: _append_csv(args.csv, reports)


# ---------------------------------------------------------------- whole files


def _write_junit(args: argparse.Namespace, reports: "Sequence[CheckReport]") -> None:
    from orchestrator.check.report.junit import make_junit
    from orchestrator.output.replace_file import replace_file

    replace_file(args.junit, make_junit(reports, args.on_inconclusive))


def _write_openmetrics(path: str, reports: "Sequence[CheckReport]") -> None:
    from orchestrator.check.report.openmetrics import make_openmetrics
    from orchestrator.output.replace_file import replace_file

    replace_file(path, make_openmetrics(reports))


def _write_bmf(path: str, reports: "Sequence[CheckReport]") -> None:
    from orchestrator.check.report.bmf import make_bmf
    from orchestrator.output.replace_file import replace_file

    replace_file(path, make_bmf(reports))


# ---------------------------------------------------------------- CSV


def _refuse_csv(path: str, checks: "Sequence[Check]") -> None:
    from orchestrator.output.append_locked import append_locked
    from orchestrator.output.replace_file import check_replaceable

    columns = _list_columns(checks)

    def look(content: bytes) -> bytes:
        _require_columns(path, content, columns)
        return b""

    if Path(path).exists():
        append_locked(path, look)
    else:
        check_replaceable(path)


def _append_csv(path: str, reports: "Sequence[CheckReport]") -> None:
    from orchestrator.check.report.series_csv import extend_csv, make_row
    from orchestrator.output.append_locked import append_locked

    columns, row = _list_columns([one.check for one in reports]), make_row(reports, _now())
    if row is None:
        print_note(f"nothing is appended to {path!r}: an expectation has no valid figure")
        return

    def extend(content: bytes) -> bytes:
        _require_columns(path, content, columns)
        return extend_csv(content, columns, row)

    append_locked(path, extend)


def _now() -> datetime:
    return datetime.now(UTC)


def _list_columns(checks: "Sequence[Check]") -> list[str]:
    from orchestrator.check.report.series_csv import list_columns

    return list_columns(checks)


def _require_columns(path: str, content: bytes, columns: Sequence[str]) -> None:
    from orchestrator.check.report.series_csv import OtherColumns, require_columns

    try:
        require_columns(content, columns)
    except OtherColumns as other:
        hint = "name another file, or move this one away: a series goes on under the same columns"
        _refuse(f"--csv {path!r} has other columns: {other}", hint)
    except ValueError as error:
        _refuse(f"--csv {path!r} is no CSV file: {error}", "name another file")


# ---------------------------------------------------------------- refusals


def _require_apart(files: Mapping[str, str]) -> None:
    """Two reports in one file would overwrite each other."""
    firsts: dict[str, str] = {}
    for option, path in files.items():
        first = firsts.setdefault(os.path.realpath(path), option)
        if first != option:
            _refuse(f"--{first} and --{option} name the same file {path!r}", "name two files")


def _require_junitparser() -> None:
    """Without importing it: that would cost memory that hides the workload's."""
    if importlib.util.find_spec("junitparser") is None:
        _refuse_junitparser("is not installed")
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("junitparser")
    except PackageNotFoundError:
        return  # a copy that says nothing of its version
    leading = re.match(r"\d+", found)
    if leading is not None and int(leading[0]) < _LEAST_JUNITPARSER:
        _refuse_junitparser(f"is too old ({found})")


def _refuse_junitparser(why: str) -> NoReturn:
    hint = "install it with: pip install 'probeplan[check]'"
    _refuse(f"--junit needs the package junitparser >= {_LEAST_JUNITPARSER}, which {why}", hint)


def _require_unlike_names(checks: "Sequence[Check]", option: str) -> None:
    """Checks of different folders may have one name, their figures in such a file may not."""
    firsts: dict[str, Check] = {}
    for check in checks:
        first = firsts.setdefault(check.name, check)
        if first is not check:
            message = (
                f"--{option} knows checks by their names, and {first.path} and {check.path} are "
                f"both named {check.name!r}"
            )
            _refuse(message, "rename one of them, or check them into two files")


def _refuse(message: str, hint: str) -> NoReturn:
    raise PlanError([of_command_line(message, hint)])
