"""run: its arguments, and what is checked before anything is attached."""

import argparse
import os
import sys

import pytest

from orchestrator.cli import _make_parser
from orchestrator.cli.run import _note_absent, _open_view
from orchestrator.plan.load import load_plan
from tests.support.paths import KERNELS
from tests.support.plans import HEAD

RECORDED = sorted(KERNELS.glob("*.facts*"))


def parsed(*arguments: str) -> argparse.Namespace:
    return _make_parser("run").parse_args(["run", *arguments])


@pytest.mark.parametrize(
    "before",
    [
        ("p.yaml",),
        ("p.yaml", "--duration", "10s"),
        ("--duration", "10s", "p.yaml"),
        ("--set", "a=b", "p.yaml", "--no-progress"),
    ],
)
def test_everything_after_the_dashes_is_the_command(before) -> None:
    args = parsed(*before, "--", "make", "-j2", "--", "--duration", "x")
    assert args.plan == "p.yaml"
    assert args.workload == ["make", "-j2", "--", "--duration", "x"]


def test_without_dashes_there_is_no_command() -> None:
    assert parsed("p.yaml").workload == []


def test_dashes_without_a_command_are_refused(capsys) -> None:
    """`-- $COMMAND` with an empty variable must not watch the whole host, and pass."""
    with pytest.raises(SystemExit):
        parsed("p.yaml", "--")
    assert "no command follows `--`" in capsys.readouterr().err


def test_a_pid_that_nobody_has_is_told(capsys) -> None:
    """Before a run that would see nothing to its end; one that someone has is not."""
    text = "probes: {p: {attach: 'syscall:read', emit: {}}}\n"
    for pid, reported in ((4194304, True), (os.getpid(), False)):
        _note_absent(load_plan((HEAD + text).encode(), target={"pid": str(pid)}))
        assert (f"there is no process {pid}" in capsys.readouterr().err) is reported


def test_a_second_plan_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        parsed("a.yaml", "b.yaml")
    assert "unrecognized arguments: b.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "many", "10001", ""])
def test_a_number_of_rows_that_no_terminal_can_show_is_refused(number: str, capsys) -> None:
    with pytest.raises(SystemExit):
        parsed("p.yaml", f"--rows={number}")
    assert "is no number from 1 to 10,000" in capsys.readouterr().err
    assert parsed("p.yaml", "--rows", "10000").rows == 10_000


@pytest.mark.parametrize("words", [("--json",), ("--log", "-"), ("--unattended",), ()])
def test_rows_are_for_terminals_that_get_no_json_lines(words, monkeypatch) -> None:
    """pytest's standard output is no terminal, which the last case is about."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: bool(words))
    assert _open_view(parsed("p.yaml", *words), None) is None


@pytest.mark.parametrize(
    ("words", "seen"), [((), False), (("--rows", "7"), True), (("--rows", "7", "--json"), False)]
)
def test_what_is_no_terminal_gets_rows_only_where_they_are_asked_for(
    words, seen: bool, capfd
) -> None:
    view = _open_view(parsed("p.yaml", *words), None)
    assert (view is not None) == seen
    if view is not None:
        assert not view._painter.colours
        assert view._per_second == 7
