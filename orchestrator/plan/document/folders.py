"""Plans and checks in folders: the YAML files that say that they are one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.plan.findings import Finding, Position

__all__ = ["find_documents", "is_folder", "names_check"]

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


def find_documents(folder: str, findings: list[Finding]) -> Iterator[str]:
    """The files of plans and checks below a folder, in order of their names, also those that cannot
    be read. Folders that cannot be read are added to `findings`."""

    def report_unreadable(error: OSError) -> None:
        place = Position(file=str(error.filename))
        message = f"cannot read the directory: {error.strerror}"
        findings.append(Finding(code="PP001", message=message, position=place))

    for inner, folders, files in os.walk(folder, onerror=report_unreadable):
        folders.sort()
        for name in sorted(files):
            file = Path(inner) / name
            special = file.exists() and not file.is_file()  # reading a pipe would block
            if name.endswith((".yaml", ".yml")) and not special and _is_document(file):
                yield str(file)


def names_check(file: str) -> bool:
    """Whether a document says that it is a check; False where it cannot be read."""
    try:
        return _CHECK.search(_read_head(Path(file))) is not None
    except OSError:
        return False


def _is_document(file: Path) -> bool:
    """True also for files that cannot be read, which are then reported."""
    try:
        head = _read_head(file)
    except OSError:
        return True
    return _DOCUMENT.search(head) is not None and _POLICY.search(head) is None


def _read_head(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(_HEAD_BYTES)
