"""Entry and return of one call meet, whatever lies between; and calls that end without a return."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.live.run.test_counts import HEAD, backends
from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.product import Ran, run_cli

SIGNALS = 20
FOLLOWED = 64  # nested returns of user functions that the kernel shows


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """frames.c, under a name that no other process has."""
    return build(WORKLOADS / "frames.c", tmp_path_factory.mktemp("frames") / f"pf{os.getpid()}")


def probe(frames: Path, function: str, more: str = "") -> str:
    """A probe that records argument, result and time of each call of `function`."""
    return f"""
  {function}:
    attach: "ufunction:{frames}:{function}"
    args: {{n: s64}}
    returns: s64
    emit: {{n: args.n, r: retval, took: elapsed}}
    {more}
"""


def run_frames(
    backend: str, folder: Path, frames: Path, probes: str, *argv: str, exit_code: int = 0
) -> Ran:
    """The probes alongside `frames argv…`, by the command line."""
    plan = folder / "plan.yaml"
    plan.write_text(HEAD + probes)
    return run_cli(
        str(plan), "--backend", backend, command=[str(frames), *argv], exit_code=exit_code
    )


def pairs(ran: Ran, name: str) -> list[tuple[int, int]]:
    """Argument and result of each record of a probe, in their order."""
    return [(row["n"], row["r"]) for row in ran.data(name)]


def hook(ran: Ran, name: str) -> Any:
    """The account of a probe's only attach point."""
    [account] = ran.finished["ledger"]["probes"][name]["hooks"]
    return account


@backends
def test_every_return_meets_its_own_entry_at_any_depth(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    ran = run_frames(backend, tmp_path, frames, probe(frames, "count"), "count", "60")
    assert pairs(ran, "count") == [(n, n) for n in range(61)]
    times = [row["took"] for row in ran.data("count")]
    assert times == sorted(times)


@backends
def test_a_call_that_was_filtered_at_its_entry_takes_no_other_calls_place(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    where = "where: entry(args.n % 7 == 3)"
    ran = run_frames(backend, tmp_path, frames, probe(frames, "count", where), "count", "40")
    assert pairs(ran, "count") == [(n, n) for n in range(3, 41, 7)]


@backends
def test_a_call_that_was_sampled_out_takes_no_other_calls_place(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    numbers = [0, 1]
    while len(numbers) < 20:
        numbers.append(numbers[-1] + numbers[-2])
    ran = run_frames(backend, tmp_path, frames, probe(frames, "fib", "sample: 1/3"), "fib", "14")
    seen = pairs(ran, "fib")
    assert len(seen) > 100
    assert [r for _, r in seen] == [numbers[n] for n, _ in seen]


@backends
def test_a_call_that_was_left_by_longjmp_meets_no_later_return(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    """Also where the later call, at the same place of the stack, is filtered at its entry."""
    probes = probe(frames, "hop") + probe(frames, "try")
    ran = run_frames(backend, tmp_path, frames, probes, "jump", "50")
    assert pairs(ran, "hop") == [(n, n) for n in range(2, 51, 2)]
    assert pairs(ran, "try") == [(n, n if n % 2 == 0 else -n) for n in range(1, 51)]
    odd = probe(frames, "hop", "where: entry(args.n == 7)")
    ran = run_frames(backend, tmp_path, frames, odd, "jump", "50")
    assert pairs(ran, "hop") == []
    if backend == "bcc":
        assert hook(ran, "hop")["abandoned"] == 1


def test_functions_that_jump_to_each_other_at_their_end_all_return(
    tmp_path: Path, frames: Path
) -> None:
    """All calls are at one place of the stack. (By bcc, which holds four of each function.)"""
    probes = probe(frames, "even") + probe(frames, "odd")
    ran = run_frames("bcc", tmp_path, frames, probes, "pass", "7")
    assert sorted(pairs(ran, "even")) == [(n, 7) for n in range(1, 8, 2)]
    assert sorted(pairs(ran, "odd")) == [(n, 7) for n in range(0, 8, 2)]


@backends
def test_probes_of_one_attach_point_each_see_every_call(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    """Two of a user function and three of a system call, of which some refuse calls."""
    first, second = probe(frames, "count"), probe(frames, "count", "where: entry(args.n > 3)")
    calls = "".join(
        f"  {name}: {{attach: syscall:execve, where: {where}, emit: {{r: retval}}}}\n"
        for name, where in (("x", "'true'"), ("y", "entry(args.argv == 0)"), ("z", "'true'"))
    )
    probes = first + second.replace("  count:", "  again:", 1) + calls
    ran = run_frames(backend, tmp_path, frames, probes, "count", "9")
    assert pairs(ran, "count") == [(n, n) for n in range(10)]
    assert pairs(ran, "again") == [(n, n) for n in range(4, 10)]
    assert len(ran.data("x")) == len(ran.data("z")) >= 1
    assert ran.data("y") == []


@backends
def test_calls_deeper_than_the_kernel_follows_make_a_run_incomplete(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    probes = probe(frames, "count")
    ran = run_frames(backend, tmp_path, frames, probes, "count", "99", exit_code=4)
    assert len(ran.data("count")) == FOLLOWED
    assert all(n == r for n, r in pairs(ran, "count"))
    assert ran.side("count", "entry")["too_deep"] == 100 - FOLLOWED
    assert any("64 nested returns" in why for why in ran.finished["incomplete_because"])


# ---------------------------------------------------------------- calls that do not return


def test_filtered_calls_without_a_return_are_not_missed(tmp_path: Path, frames: Path) -> None:
    probes = probe(frames, "hold", "where: entry(args.n == 1)")
    ran = run_frames("bcc", tmp_path, frames, probes, "held", "4")
    assert ran.finished["complete"] is True
    assert ran.side("hold", "entry")["filtered"] == 3
    assert hook(ran, "hold")["exited"] == 1


def test_where_returns_alone_are_probed_open_calls_are_not_missed(
    tmp_path: Path, frames: Path
) -> None:
    probes = f"  back: {{attach: 'uretprobe:{frames}:hold', emit: {{}}}}\n"
    ran = run_frames("bcc", tmp_path, frames, probes, "held", "5")
    assert ran.finished["complete"] is True
    assert hook(ran, "back")["in_flight"] == 5
    deep = f"  back: {{attach: 'uretprobe:{frames}:count', emit: {{}}}}\n"
    ran = run_frames("bcc", tmp_path, frames, deep, "count", "70")
    assert ran.finished["complete"] == "unknown"


@backends
def test_a_call_in_which_the_program_is_replaced_does_not_return(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    """The system call that replaced it does."""
    probes = probe(frames, "replace") + "  call: {attach: syscall:execve, emit: {r: retval}}\n"
    ran = run_frames(backend, tmp_path, frames, probes, "exec", "6")
    assert ran.finished["complete"] is True
    assert ran.data("replace") == []
    assert [row["r"] for row in ran.data("call")][-6:] == [0] * 6
    if backend == "bcc":
        assert hook(ran, "replace")["execed"] == 6
        assert hook(ran, "call")["in_flight"] == 0


@backends
def test_a_system_call_that_ends_in_another_way_is_no_loss(
    backend: str, tmp_path: Path, frames: Path
) -> None:
    """Three probes of it: each call begins by dropping what all of them left of the last one."""
    names = ("back", "again", "third")
    probes = "".join(
        f"  {name}: {{attach: syscall:rt_sigreturn, emit: {{took: elapsed}}}}\n" for name in names
    )
    ran = run_frames(backend, tmp_path, frames, probes, "raise", str(SIGNALS))
    assert ran.finished["complete"] is True
    assert not any(map(ran.data, names))
    if backend == "bcc":
        for account in (hook(ran, name) for name in names):
            assert account["abandoned"] + account["exited"] >= SIGNALS
            assert account["abandoned"] >= SIGNALS - 1
            assert account["in_flight"] == 0
