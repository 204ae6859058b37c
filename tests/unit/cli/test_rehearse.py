"""rehearse: its options, what it gives to the run in the guest, and its exit codes."""

import argparse
import os
import platform
import signal
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import _make_parser, rehearse
from orchestrator.cli.rehearsal_files import (
    GivenPlan,
    guest_folder,
    open_outputs,
    open_stdin,
    read_given_plan,
)
from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.kernels import Kernel
from orchestrator.plan.findings import PlanError

PLAN = """apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: p, summary: for tests}
limits: {duration: 20s}
probes: {p: {attach: 'syscall:read', emit: {}}}
"""
KERNEL = Kernel(name="6.1", release="6.1.0", directory=Path("/nowhere"))


def parsed(*words: str) -> argparse.Namespace:
    return _make_parser("rehearse").parse_args(["rehearse", *words])


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return str(path)


# ---------------------------------------------------------------- words


def test_options_of_run_are_passed_on_and_the_machine_s_are_not() -> None:
    args = parsed(
        *("plan.yaml", "--kernel", "6.1", "--cpus", "4", "--memory", "1G", "--duration", "10s"),
        *("--set", "a=1=2", "--set", "b=x y", "--target", "comm=x", "--limit", "cpu=100%"),
        *("--policy", "p", "--backend", "tracefs", "--no-canary", "--keep-privileges"),
        *("--label", "ring 1"),
        *("--summary", "always", "--", "make", "--set", "c=d"),
    )
    assert list(rehearse._words_of(args, {})) == [
        *("--set=a=1=2", "--set=b=x y", "--target=comm=x", "--limit=cpu=100%", "--policy=p"),
        *("--backend=tracefs", "--duration=10s", "--label=ring 1", "--keep-privileges"),
        *("--no-canary", "--summary=always", "--", "make", "--set", "c=d"),
    ]


def test_without_options_there_are_no_words_but_the_summary() -> None:
    """A guest has no terminal: `auto` is decided here."""
    args = parsed("plan.yaml", "--kernel", "6.1")
    assert list(rehearse._words_of(args, {})) == ["--summary=never"]
    assert list(rehearse._words_of(args, {"log": "/x"})) == ["--log=/x", "--summary=never"]


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ((), "--rows=50"),
        (("--rows", "7"), "--rows=7"),
        (("--json",), "--json"),
        (("--log", "-"), "--log=-"),
    ],
)
def test_a_terminal_gets_rows_from_the_guest_as_it_does_from_run(
    words, passed: str, monkeypatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    args = parsed("plan.yaml", "--kernel", "6.1", "--summary", "never", *words)
    assert list(rehearse._words_of(args, {})) == [passed, "--summary=never"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--kernel", "6.1", "--cpus", "0"), "'0' is not a number from 1 to 255"),
        (("--kernel", "6.1", "--cpus", "256"), "'256' is not a number"),
        (("--kernel", "6.1", "--memory", "2"), "'2' is not a size such as 512M"),
        (("--kernel", "6.1", "--memory", "2G,x=y"), "is not a size"),
        (("--kernel", "6.1", "--timeout", "1ms"), "out of range"),
        (("--kernel", "6.1", "--live"), "unrecognized arguments: --live"),
        ((), "the following arguments are required: --kernel"),
    ],
)
def test_wrong_options_are_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(SystemExit):
        parsed("plan.yaml", *words)
    assert why in capsys.readouterr().err


# ---------------------------------------------------------------- exit codes


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], dict[str, Any]]:
    """Lets a function be the machine; returns what it was given."""

    def use(machine: Callable[[], int]) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def run(kernel: Kernel, job: object, output: object, **more: Any) -> int:
            given.update(more, kernel=kernel, job=job, output=output)
            return machine()

        monkeypatch.setattr(rehearse, "require_host", lambda: None)
        monkeypatch.setattr(rehearse, "find_kernel", lambda _name, **_more: KERNEL)
        monkeypatch.setattr(rehearse, "run_rehearsal", run)
        return given

    return use


def raiser(error: BaseException) -> Callable[[], int]:
    def fail() -> int:
        raise error

    return fail


@pytest.mark.parametrize("code", [0, 2, 3, 4, 5, 6])
def test_the_run_s_exit_code_is_passed_on(rehearsed, plan: str, code: int) -> None:
    rehearsed(lambda: code)
    assert rehearse.main(parsed(plan, "--kernel", "6.1")) == code


def test_a_lost_machine_is_3_with_the_end_of_its_console(rehearsed, plan: str, capsys) -> None:
    console = "\n".join(f"line {n}" for n in range(99)) + "\nKernel panic\x1b[2J"
    rehearsed(raiser(GuestLost("the kernel panicked", console)))
    assert rehearse.main(parsed(plan, "--kernel", "6.1")) == 3
    said = capsys.readouterr().err
    assert "the machine was lost: the kernel panicked" in said
    assert "line 98\nKernel panic" in said
    assert "line 70\n" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("tool", "package"),
    [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("setpriv", "util-linux"),
        ("busybox", "busybox-static"),
    ],
)
def test_what_a_machine_lacks_here_is_3_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, plan: str, capsys, tool: str, package: str
) -> None:
    """Before a kernel is downloaded for nothing."""

    def find(name: str, **_more: object) -> str | None:
        return None if name == tool else f"/usr/bin/{name}"

    def fetch(name: str, **_more: object) -> Kernel:
        raise AssertionError(name)

    monkeypatch.setattr("shutil.which", find)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(rehearse, "find_kernel", fetch)
    assert rehearse.main(parsed(plan, "--kernel", "6.1")) == 3
    said = capsys.readouterr().err
    assert f"install the package {package}" in said
    assert "lost" not in said


def test_a_machine_that_cannot_start_is_3_and_not_lost(rehearsed, plan: str, capsys) -> None:
    rehearsed(raiser(LabError("the kernel image is damaged")))
    assert rehearse.main(parsed(plan, "--kernel", "6.1")) == 3
    said = capsys.readouterr().err
    assert "the machine cannot be used: the kernel image is damaged" in said
    assert "lost" not in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_machine_and_is_the_exit_code(
    rehearsed, plan: str, number: signal.Signals, code: int
) -> None:
    """Also while SIGINT is ignored, as in a shell's background; a second one disturbs nothing."""
    undone = []

    def machine() -> int:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)
            undone.append(True)
        return 0

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        rehearsed(machine)
        assert rehearse.main(parsed(plan, "--kernel", "6.1")) == code
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert undone == [True]


def test_a_wrong_plan_boots_nothing(rehearsed, plan: str) -> None:
    given = rehearsed(lambda: 0)
    Path(plan).write_text(PLAN + "nonsense: 1\n")
    with pytest.raises(PlanError, match="nonsense"):
        rehearse.main(parsed(plan, "--kernel", "6.1"))
    assert given == {}


def test_the_machine_has_the_plan_s_duration_and_time_to_boot(rehearsed, plan: str) -> None:
    given = rehearsed(lambda: 0)
    seen = []
    for words in ((), ("--duration", "40s"), ("--timeout", "7s")):
        rehearse.main(parsed(plan, "--kernel", "6.1", *words))
        seen.append(given["machine"].timeout_s)
    assert seen == [320.0, 340.0, 7.0]


def test_progress_is_reported_on_standard_error_alone(rehearsed, plan: str, capsys) -> None:
    rehearsed(lambda: 0)
    rehearse.main(parsed(plan, "--kernel", "6.1"))
    out, errors = capsys.readouterr()
    assert (out, errors) == ("", "probeplan: booting 6.1.0 (2 CPUs, 2G)\n")
    rehearse.main(parsed(plan, "--kernel", "6.1", "--no-progress"))
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------- files


def test_a_plan_that_the_guest_cannot_open_is_read_here(plan: str) -> None:
    """A pipe, as a shell's <(…) is; a shipped plan and a file are named as they are."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    os.close(writer)
    read = read_given_plan(f"/dev/fd/{reader}")
    os.close(reader)
    assert read == GivenPlan(word="-", source=b"x", stdin=b"x")
    assert read_given_plan(plan) == GivenPlan(word=plan, source=plan)
    shipped = read_given_plan("opens")
    assert (shipped.word, shipped.stdin) == ("opens", None)


def test_a_pipe_is_not_read_for_the_command_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    plan = GivenPlan(word="p", source="p")
    monkeypatch.setattr(os, "fstat", lambda _fd: os.stat_result((stat.S_IFIFO, *[0] * 9)))
    with ExitStack() as stack:
        assert open_stdin(plan, stack, has_command=True) is None
    assert "standard input is a pipe" in capsys.readouterr().err


def test_a_folder_that_the_guest_does_not_have_is_refused(monkeypatch) -> None:
    monkeypatch.chdir("/sys/kernel")
    with pytest.raises(PlanError, match="'/sys/kernel' is not in the guest"):
        guest_folder()


def test_outputs_are_opened_before_a_boot(tmp_path: Path, monkeypatch) -> None:
    """log is appended to, folded is emptied, a directory with other files is refused."""
    monkeypatch.chdir(tmp_path)
    for name in ("log", "folded"):
        Path(name).write_text("before\n")
    args = parsed("p", "--kernel", "6.1", "--log", "log", "--folded", "folded", "--out", "out")
    with ExitStack() as stack:
        outputs = open_outputs(args, stack)
        for name in ("log", "folded"):
            outputs.streams[f"brought-back/{name}"](b"after\n")
    assert Path("log").read_text() == "before\nafter\n"
    assert Path("folded").read_text() == "after\n"
    assert [(place.name, place.place) for place in outputs.places] == [
        (name, tmp_path / name) for name in ("log", "folded", "out")
    ]
    Path("other").mkdir()
    Path("other/notes").touch()
    with ExitStack() as stack, pytest.raises(PlanError, match="notes"):
        open_outputs(parsed("p", "--kernel", "6.1", "--out", "other"), stack)


def test_a_log_that_is_no_file_is_written_to_from_here(capfd) -> None:
    """The guest has no such pipe or device, and writes to the share."""
    with ExitStack() as stack:
        args = parsed("p", "--kernel", "6.1", "--log", "/dev/null")
        outputs = open_outputs(args, stack)
    assert outputs.words == {"log": "/run/share/brought-back/log"}
