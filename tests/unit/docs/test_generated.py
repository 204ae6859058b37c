"""The generated pages of docs/ are current."""

import runpy
from pathlib import Path

from tests.support.paths import ROOT

GENERATOR = runpy.run_path(str(ROOT / "scripts" / "generate_docs.py"))


def test_committed_pages_are_what_their_sources_give() -> None:
    stale: list[Path] = GENERATOR["stale_pages"]()
    assert not stale, "run `make docs` (or scripts/generate_docs.py) and commit what it wrote"


def test_every_record_kind_has_a_section() -> None:
    log = (ROOT / "docs" / "log.md").read_text()
    kinds = GENERATOR["_schema"]("log")["properties"]["event"]["enum"]
    assert all(f"\n### {kind}\n" in log for kind in kinds)
