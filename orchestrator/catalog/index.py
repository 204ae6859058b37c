"""The index of the shipped plans: one file in the package, so that finding a plan reads none.

`scripts/generate_docs.py` writes it, and a test says that it is current.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.catalog.areas import AREAS
from orchestrator.catalog.entry import CatalogEntry, entry_from_fields

__all__ = ["INDEX_FILE", "index_plans", "read_index", "render_index"]

INDEX_FILE = Path(__file__).with_name("index.json")


def read_index() -> tuple[CatalogEntry, ...]:
    """The shipped plans, by area."""
    entries = json.loads(INDEX_FILE.read_bytes())
    return tuple(map(entry_from_fields, entries))


def index_plans(files: Mapping[str, Path]) -> tuple[CatalogEntry, ...]:
    """The entries of the shipped plans with these `files` (by name), which lie in folders of AREAS.
    Raises PlanError, and ValueError for another folder."""
    from orchestrator.catalog.described import entry_from_plan  # for making the index only
    from orchestrator.plan.load import load_plan

    order = list(AREAS)
    entries = []
    for name, file in files.items():
        area = file.parent.name
        if area not in order:
            raise ValueError(f"{name}: {area!r} is no area: {', '.join(order)}")
        place = f"{area}/{file.name}"
        entries.append(entry_from_plan(load_plan(file), name=name, area=area, file=place))
    return tuple(sorted(entries, key=lambda entry: (order.index(entry.area), entry.name)))


def render_index(entries: Iterable[CatalogEntry]) -> str:
    """The text of the index: one entry a line, so that a change is one line of a comparison."""
    lines = ",\n".join(json.dumps(entry.as_fields(), ensure_ascii=False) for entry in entries)
    return f"[\n{lines}\n]\n"
