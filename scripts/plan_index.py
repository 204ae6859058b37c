"""The index of the shipped plans, and the tables of plans/README.md: both made of the plans."""

import re
from collections.abc import Iterable
from pathlib import Path

from orchestrator.catalog.areas import AREAS
from orchestrator.catalog.entry import CatalogEntry
from orchestrator.catalog.index import INDEX_FILE, index_plans, render_index
from orchestrator.run.shipped import shipped_plans

__all__ = ["list_plan_files"]

ROOT = Path(__file__).resolve().parent.parent
_README = ROOT / "plans" / "README.md"
_TABLES = re.compile(r"(<!-- begin plans -->\n).*?(<!-- end plans -->)", re.DOTALL)


def list_plan_files() -> dict[Path, str]:
    """The text of both files, by path."""
    entries = index_plans(shipped_plans())
    tables = "\n".join(_area_section(area, entries) for area in AREAS)
    readme = _TABLES.sub(lambda match: f"{match[1]}\n{tables}\n{match[2]}", _README.read_text())
    return {INDEX_FILE: render_index(entries), _README: readme}


def _area_section(area: str, entries: Iterable[CatalogEntry]) -> str:
    rows = [_plan_row(entry) for entry in entries if entry.area == area]
    head = [f"## {AREAS[area]}", "", "| question | plan | same question as | cost |"]
    return "\n".join([*head, "|---|---|---|---|", *rows, ""])


def _plan_row(entry: CatalogEntry) -> str:
    link = f"[{entry.name}]({entry.file})"
    cells = (entry.question, link, ", ".join(entry.equivalents), entry.cost)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
