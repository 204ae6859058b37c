"""Plans in folders of users, read when they are asked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.catalog.described import entry_from_plan
from orchestrator.catalog.entry import CatalogEntry
from orchestrator.plan.findings import Finding, PlanError
from orchestrator.plan.load import check_plan
from orchestrator.values import dataclass

__all__ = ["FolderPlans", "read_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlans:
    """The plans of files, and the files that have none that is valid, with the first reason."""

    entries: tuple[CatalogEntry, ...]
    invalid: tuple[tuple[str, str], ...]


def read_files(files: Iterable[str]) -> FolderPlans:
    """The plans in these files. A plan is known by its file, since that is what `run` takes: what a
    file says of itself is text."""
    entries: list[CatalogEntry] = []
    invalid: list[tuple[str, str]] = []
    for file in files:
        entry = _read_file(file)
        if isinstance(entry, CatalogEntry):
            entries.append(entry)
        else:
            invalid.append((file, entry))
    return FolderPlans(entries=tuple(entries), invalid=tuple(invalid))


def _read_file(file: str) -> CatalogEntry | str:
    """The plan's entry, or why the file has none."""
    try:
        plan, findings = check_plan(Path(file))
    except PlanError as error:
        return _first_reason(error.findings)
    if plan is None:
        return _first_reason(findings)
    return entry_from_plan(plan, name=file, area="", file=file)


def _first_reason(findings: Sequence[Finding]) -> str:
    return findings[0].message.partition("\n")[0] if findings else "it is no plan"
