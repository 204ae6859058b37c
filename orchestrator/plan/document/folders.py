"""Plans and checks in folders: the YAML files that say that they are one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.plan.findings import Finding, Position

__all__ = ["find_documents", "is_folder"]

#: What distinguishes a plan or a check from other YAML in a folder.
_DOCUMENT = re.compile(rb"probeplan/v|ProbePlan|ProbeCheck")
_POLICY = re.compile(rb"^kind:\s*[\"']?Policy\b", re.MULTILINE)  # for `policy check`
_CHECK = re.compile(rb"^kind:\s*[\"']?ProbeCheck\b", re.MULTILINE)
_HEAD_BYTES = 1 << 16


def is_folder(path: str) -> bool:
    """Whether there is a folder at `path`."""
    try:
        return Path(path).is_dir()
    except OSError:  # e.g. a name too long: reading it reports that
        return False


def find_documents(
    folder: str, findings: list[Finding], *, with_checks: bool = True
) -> Iterator[str]:
    """The files of plans, and `with_checks` of checks, below a folder, in order of their names,
    also those that cannot be read. Folders that cannot be read are added to `findings`."""

    def report_unreadable(error: OSError) -> None:
        place = Position(file=str(error.filename))
        message = f"cannot read the directory: {error.strerror}"
        findings.append(Finding(code="PP001", message=message, position=place))

    for inner, folders, files in os.walk(folder, onerror=report_unreadable):
        folders.sort()
        for name in sorted(files):
            file = Path(inner) / name
            special = file.exists() and not file.is_file()  # reading a pipe would block
            if (
                name.endswith((".yaml", ".yml"))
                and not special
                and _is_wanted(file, with_checks=with_checks)
            ):
                yield str(file)


def _is_wanted(file: Path, *, with_checks: bool) -> bool:
    """True also for files that cannot be read, which are then reported."""
    try:
        with file.open("rb") as content:
            head = content.read(_HEAD_BYTES)
    except OSError:
        return True
    if _POLICY.search(head) or (_CHECK.search(head) and not with_checks):
        return False
    return _DOCUMENT.search(head) is not None
