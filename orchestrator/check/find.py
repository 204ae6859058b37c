"""Which files are checks."""

import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.plan.findings import PlanError, of_command_line

__all__ = ["find_check_files"]

_CHECK = re.compile(rb"^kind:\s*[\"']?ProbeCheck\b", re.MULTILINE)


def find_check_files(paths: list[str]) -> Iterator[str]:
    """The files that are named (`-`: standard input), and of folders those *.yaml and *.yml files
    in it and below that are checks, in order. Raises PlanError for a path that is not there, and
    for a folder without a check: to check nothing must not pass."""
    for path in paths:
        if not Path(path).is_dir():
            yield path
            continue
        found = [str(file) for file in _list_yaml(Path(path)) if _is_check(file)]
        if not found:
            message = f"there is no check in {path!r}"
            hint = "a check is a *.yaml file with `kind: ProbeCheck`"
            raise PlanError([of_command_line(message, hint)])
        yield from found


def _list_yaml(folder: Path) -> list[Path]:
    found = (*folder.rglob("*.yaml"), *folder.rglob("*.yml"))
    return sorted(file for file in found if file.is_file())


def _is_check(file: Path) -> bool:
    """Of a file that cannot be read, reading it says why."""
    try:
        return bool(_CHECK.search(file.read_bytes()))
    except OSError:
        return True
