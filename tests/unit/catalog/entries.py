"""Entries for tests of the catalog."""

from typing import Any

from orchestrator.catalog.entry import CatalogEntry


def an_entry(name: str = "opens", question: str = "Which files are opened?", **fields: Any) -> Any:
    given = {"area": "fs", "file": f"fs/{name}.yaml", **fields}
    return CatalogEntry(name=name, question=question, **given)
