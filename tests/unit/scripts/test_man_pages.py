"""Man pages: one for each command, in order, with what --help says."""

import subprocess
from pathlib import Path

import pytest

from orchestrator.cli import COMMANDS
from tests.support.paths import ROOT

MAN = ROOT / "man"
PAGES = sorted(MAN.glob("*.1"))


def test_every_command_has_a_page_and_no_page_is_left_over() -> None:
    assert {page.stem for page in PAGES} == {"probeplan", *(f"probeplan-{c}" for c in COMMANDS)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_no_faults(page: Path) -> None:
    """To mandoc and to groff, which read roff independently of each other."""
    lint = ["mandoc", "-T", "lint", "-W", "warning", str(page)]
    render = ["man", "--warnings", "--local-file", str(page)]
    for command in (lint, render):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert "\n.SH EXAMPLES\n" in page.read_text()
    assert "\n.SH EXIT STATUS\n" in page.read_text()


def test_a_page_shows_what_help_shows() -> None:
    shown = subprocess.run(
        ["man", "--local-file", str(MAN / "probeplan-run.1")],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "200", "LC_ALL": "C.UTF-8"},
    ).stdout
    for text in (
        "probeplan-run - run a plan within its limits and log what it sees",
        "probeplan run PLAN [options] [-- COMMAND [ARG ...]]",
        "--backend {auto,bcc,tracefs}",
        "probeplan run opens --target comm=nginx         a shipped plan by its name",
        "3  this host cannot run the plan",
    ):
        assert text in shown
