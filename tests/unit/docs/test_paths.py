"""Every path that the documentation names exists, and every name that it takes from a module."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.unit.docs.pages import PAGES, code_spans

DOCUMENTS = (*PAGES, ROOT / "README.md")
HEADS = ("orchestrator", "tests", "docs", "schema", "plans", "examples", "scripts", "bench", ".ci")
FILES = ("CONTRIBUTING.md", "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "setup.py")
#: Rooms are also named from within the package.
ROOMS = {path.name for path in (ROOT / "orchestrator").iterdir() if path.is_dir()}
#: Upper-case parts stand for what the reader has; a * for several.
PLACEHOLDER = re.compile(r"[A-Z]{3,}|\*")
#: Made when something runs.
MADE = ("build/docs",)


def _paths(page: Path) -> list[str]:
    spans = [span.rstrip("/") for span in code_spans(page)]
    paths = [span for span in spans if re.fullmatch(r"[\w./@+-]+", span)]
    heads = (*HEADS, *ROOMS)
    return [path for path in paths if path in FILES or ("/" in path and _head(path) in heads)]


def _head(path: str) -> str:
    return path.split("/", maxsplit=1)[0]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_the_paths_that_a_page_names_exist(page: Path) -> None:
    missing = [
        path
        for path in _paths(page)
        if path not in MADE
        and not (PLACEHOLDER.search(path) and path not in FILES)
        and not (ROOT / path).exists()
        and not (ROOT / "orchestrator" / path).exists()
    ]
    assert not missing


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_relative_links_and_their_anchors_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    broken = [link for link in links if not re.match("https?:", link) and not _leads(page, link)]
    assert not broken


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


@cache
def _anchors(page: Path) -> frozenset[str]:
    """As GitHub and MyST make them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return frozenset(heading.strip().replace(" ", "-") for heading in plain)


def test_names_that_steps_take_from_modules_are_there() -> None:
    text = "".join(page.read_text() for page in PAGES)
    named = re.findall(r"`(orchestrator/[\w/]+\.py)`, `(\w+)`", text)
    named += [(path, name) for name, path in re.findall(r"`(\w+)`\s\(`(orch[\w/]+\.py)`\)", text)]
    assert len(named) >= 10
    for path, name in named:
        assert re.search(rf"^(?:def )?{name}\b", (ROOT / path).read_text(), re.MULTILINE), (
            path,
            name,
        )
