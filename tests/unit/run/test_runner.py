"""The runner against a fake session: every way in which a run can end."""

import builtins
import errno
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from orchestrator.accounting.count import UNKNOWN
from orchestrator.output.result import ResultDirectory
from orchestrator.output.sink import OnLost, OutputLost, Sink, ignore_loss
from orchestrator.output.unblocked import make_log_sink
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import Limits, Rate
from tests.support.fake_backend import Script, program
from tests.support.fake_runs import Ran, checked_lines
from tests.support.results import checked_result


def finished(ran: Ran) -> dict:
    """The last line, which is run.finished; the run was detached exactly once, after its end."""
    last = ran.lines[-1]
    assert last["event"] == "run.finished"
    assert ran.kinds().count("run.finished") == 1
    return last


def test_a_run_tells_its_life_in_order(ran: Ran) -> None:
    ran.go(Script(batches=[[1, 2], [3]]))
    assert ran.kinds() == [
        *("run.started", "probe.attached", "event.recorded", "event.recorded", "event.recorded"),
        *("metric.reported", "run.finished"),
    ]
    assert [line["data"]["n"] for line in ran.lines if line["event"] == "event.recorded"] == [
        1,
        2,
        3,
    ]


def test_the_start_says_how_fields_are_shown(ran: Ran) -> None:
    ran.go(Script(batches=[[1]]))
    plain = {"form": "u64", "unit": "", "shown_as": ""}
    assert ran.lines[0]["fields"] == {"opens": {"n": plain}}


def test_what_is_needed_at_the_end_is_imported_once_the_probes_are_armed(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the package may be those of another release by then."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "imported_late.py").write_text("import builtins\nbuiltins.imported_late()\n")
    seen: list[list[str]] = []
    monkeypatch.setattr(
        builtins, "imported_late", lambda: seen.append(list(ran.diary)), raising=False
    )
    ran.go(Script(batches=[[1]]), needed_at_end=("imported_late",))
    assert seen == [["arm"]]
    del sys.modules["imported_late"]


def test_the_deadline_ends_a_run_with_0(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]]))
    assert (result.exit_code, finished(ran)["outcome"]) == (0, "duration")
    assert finished(ran)["duration_ns"] >= 100_000_000
    assert finished(ran)["complete"] is True


def test_disarm_comes_before_the_last_read_and_detach_at_the_very_end(ran: Ran) -> None:
    ran.go(Script(batches=[[1]]))
    assert ran.diary[0] == "arm"
    assert ran.diary[-1] == "detach"
    assert "read+release" in ran.diary[ran.diary.index("disarm") :]
    assert ran.diary.count("detach") == 1


def test_the_cap_ends_a_run_and_is_told(ran: Ran) -> None:
    ran.go(Script(batches=[[1, 2]], capped=True), program(Limits(events=2)))
    assert finished(ran)["outcome"] == "cap"
    [limit] = [line for line in ran.lines if line["event"] == "limit.reached"]
    assert (limit["limit"], limit["value"], limit["action"]) == ("events", 2, "stop")


def test_a_muted_cap_does_not_end_a_run(ran: Ran) -> None:
    limits = Limits(duration_ns=50_000_000, events=2, at_cap="mute")
    ran.go(Script(batches=[[1, 2]], capped=True, over_cap=3), program(limits))
    assert finished(ran)["outcome"] == "duration"
    [limit] = [line for line in ran.lines if line["event"] == "limit.reached"]
    assert (limit["limit"], limit["action"]) == ("events", "mute")


def test_a_limit_of_a_probes_own_is_told_as_such(ran: Ran) -> None:
    what = program(Limits(duration_ns=50_000_000))
    own = replace(what.probes[0], events=2, rate=Rate(count=7, per_ns=1_000_000_000))
    script = Script(batches=[[1, 2]], over_cap=3, rate_limited=1)
    ran.go(script, replace(what, probes=(own,)))
    reported = [line for line in ran.lines if line["event"] == "limit.reached"]
    assert [(one["limit"], one["probe"], one["value"], one["action"]) for one in reported] == [
        ("events", "opens", 2, "mute"),
        ("rate", "opens", 7, "drop"),
    ]
    assert finished(ran)["outcome"] == "duration"


def test_records_over_the_cap_are_trimmed_and_booked(ran: Ran) -> None:
    ran.go(Script(batches=[[1, 2, 3], [4]]), program(Limits(duration_ns=50_000_000, events=2)))
    emit = finished(ran)["ledger"]["probes"]["opens"]["emit"]
    assert (emit["accepted"], emit["over_cap"], emit["recorded"], emit["delivered"]) == (4, 2, 2, 2)
    assert finished(ran)["exit_code"] == 0


def test_limits_output_bounds_the_bytes_of_events_and_ends_the_run(ran: Ran) -> None:
    limits = Limits(output=4096)
    result = ran.go(Script(batches=[range(100)]), program(limits))
    events = [line for line in ran.stream.getvalue().splitlines() if b"event.recorded" in line]
    assert 0 < len(events) < 100
    before_the_end = ran.stream.getvalue().partition(b'"event":"limit.reached"')[0]
    assert len(before_the_end[: before_the_end.rfind(b"\n")]) <= 4096
    assert (result.outcome, result.complete, result.exit_code) == ("limit", False, 4)
    [why] = finished(ran)["incomplete_because"]
    assert why.startswith("limits.output (4KiB) ended the run after 0")
    assert why.endswith("raise it with --limit output=…")


@pytest.mark.parametrize(("incomplete", "code"), [("fail", 4), ("allow", 0)])
def test_a_run_that_its_cap_ended_is_incomplete_and_ends_with_4_unless_allowed(
    ran: Ran, incomplete: Literal["fail", "allow"], code: int
) -> None:
    limits = Limits(duration_ns=60 * 10**9, events=2, incomplete=incomplete)
    result = ran.go(Script(batches=[[1, 2]], capped=True), program(limits))
    assert (result.outcome, result.complete, result.exit_code) == ("cap", False, code)
    assert (finished(ran)["counted"], finished(ran)["lost"]) == ("part", 0)
    [why] = finished(ran)["incomplete_because"]
    assert why.startswith("limits.events (2) ended the run after 0")
    assert " of 60 s; raise it with --limit events=…" in why
    assert "--limit at_cap=mute" in why


@pytest.mark.parametrize(("expired", "complete"), [(0, True), (3, False)])
def test_a_cap_that_disabled_probes_before_the_end_is_told_if_they_were_hit_after_it(
    ran: Ran, expired: int, complete: bool
) -> None:
    """The command's end, or a signal, may be noticed before the cap is."""
    script = Script(batches=[[1, 2], [3]], capped=True, expired=expired)
    limits = Limits(duration_ns=1, events=3)
    result = ran.go(script, program(limits))
    assert (result.outcome, result.complete) == ("duration", complete)
    said = "limits.events (3) was reached before the end, from when on nothing was counted"
    assert [why.startswith(said) for why in finished(ran)["incomplete_because"]] == (
        [] if complete else [True]
    )


def test_loss_in_the_kernel_makes_a_run_incomplete_with_4(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]], ring_lost=7))
    assert (result.exit_code, finished(ran)["complete"], finished(ran)["lost"]) == (4, False, 7)
    assert finished(ran)["incomplete_because"] == [
        "opens: 7 records were lost: the buffer was full"
    ]
    [lost] = [line for line in ran.lines if line["event"] == "events.lost"]
    assert (lost["probe"], lost["lost"], lost["reason"]) == ("opens", 7, "ring")


ALLOW = Limits(duration_ns=100_000_000, incomplete="allow")


def test_a_plan_that_allows_loss_ends_with_0_and_hides_nothing(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]], ring_lost=7), program(ALLOW))
    last = finished(ran)
    assert (result.exit_code, last["exit_code"], last["level"]) == (0, 0, "warning")
    assert (result.complete, last["complete"], last["lost"]) == (False, False, 7)
    assert last["incomplete_because"] == ["opens: 7 records were lost: the buffer was full"]
    assert ran.lines[0]["limits"]["incomplete"]["value"] == "allow"


def test_allowing_loss_allows_nothing_else(ran: Ran) -> None:
    """An output that could not be written, accounts that do not balance, a workload that failed."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        assert ran.go(Script(batches=[[1]]), program(ALLOW), sink=Sink(full)).exit_code == 4
    assert ran.go(Script(batches=[[1]], phantom=1), program(ALLOW)).exit_code == 6
    script = Script(batches=[[1]], ring_lost=7)
    assert ran.go(script, program(ALLOW), command=("false",)).exit_code == 5


def test_unknown_completeness_ends_with_0_allowed_or_not(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]], kernel_missed=UNKNOWN), program(ALLOW))
    assert (result.exit_code, result.complete) == (0, "unknown")


def test_what_limits_hold_back_is_no_loss(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]], rate_limited=5, over_cap=4, filtered=3))
    assert (result.exit_code, finished(ran)["complete"]) == (0, True)


def test_an_unknown_count_makes_completeness_unknown_and_fails_nothing(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]], kernel_missed=UNKNOWN))
    assert (result.exit_code, finished(ran)["complete"]) == (0, "unknown")


def test_accounts_that_do_not_balance_are_an_internal_error(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]], phantom=1))
    assert (result.exit_code, finished(ran)["complete"]) == (6, False)
    assert "fired 2 is not" in finished(ran)["incomplete_because"][0]


def test_a_run_that_saw_nothing_says_where_it_all_went(ran: Ran) -> None:
    ran.go(Script(not_target=12345))
    assert finished(ran)["nothing_seen_because"] == (
        "opens fired 12,345 times: all probeplan's own events, left out by target.exclude_self"
    ), "the plan has no target"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_run_cleanly(ran: Ran, number: signal.Signals, code: int) -> None:
    """Where SIGHUP is ignored, as nohup(1) leaves it, no run ends by it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    script = Script(
        batches=[[1]], on_wait=lambda n: os.kill(os.getpid(), number) if n == 3 else None
    )
    try:
        result = ran.go(script, program(Limits(duration_ns=None)))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (result.exit_code, finished(ran)["outcome"]) == (code, "interrupted")
    assert ran.diary[-1] == "detach"


def test_a_second_ctrl_c_does_not_break_the_cleanup(ran: Ran, monkeypatch) -> None:
    def strike(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("tests.support.fake_backend.FakeSession.disarm", strike)
    result = ran.go(Script(batches=[[1]], on_wait=strike), program(Limits(duration_ns=None)))
    assert (result.exit_code, ran.diary[-1], ran.kinds()[-1]) == (130, "detach", "run.finished")


def test_an_unlimited_run_holds_a_lease_that_is_renewed(ran: Ran, monkeypatch) -> None:
    monkeypatch.setattr("orchestrator.run.loop._RENEW_NS", 10_000_000_000)
    stop = Script(on_wait=lambda n: os.kill(os.getpid(), signal.SIGINT) if n == 3 else None)
    ran.go(stop, program(Limits(duration_ns=None)))
    assert "extend" in ran.diary
    assert ran.lines[0]["limits"]["duration"]["value"] == "unlimited"


def test_a_closed_output_ends_a_run_and_everything_is_detached(ran: Ran) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as stream:
        result = ran.go(Script(batches=[[1], [2]]), sink=Sink(stream))
    assert (result.outcome, result.exit_code, ran.diary[-1]) == ("output", 4, "detach")
    assert "Broken pipe" in result.output_error


@pytest.fixture
def stopped_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """A pipe that is full, and that no one reads; patience ends at once."""
    for name in ("_PATIENCE_S", "_SIGNALLED_S"):
        monkeypatch.setattr(f"orchestrator.run.delivery.{name}", 0.1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while select.select([], [writer], [], 0)[1]:
        os.write(writer, b" " * 4096)
    with os.fdopen(writer, "wb", buffering=0) as stream:
        yield make_log_sink(stream)
    os.close(reader)


def test_a_reader_that_has_stopped_does_not_keep_a_run_from_detaching(
    ran: Ran, stopped_reader: Sink, tmp_path: Path
) -> None:
    """What it did not take is counted and reported; the result directory has all of it."""
    out = tmp_path / "out"
    result = ran.go(Script(batches=[[1, 2], [3]]), sink=stopped_reader, out=out)
    assert (result.outcome, result.exit_code, ran.diary[-1]) == ("duration", 4, "detach")
    assert "stopped reading" in result.output_error
    emit = result.finished["ledger"]["probes"]["opens"]["emit"]
    assert (emit["recorded"], emit["delivered"], result.finished["lost"]) == (3, 0, 3)
    events = checked_lines((out / "events.jsonl").read_bytes())
    assert sum(line["event"] == "event.recorded" for line in events) == 3
    assert (events[-1]["event"], events[-1]["exit_code"]) == ("run.finished", 4)


def test_a_signal_ends_a_run_whose_reader_has_stopped(ran: Ran, stopped_reader: Sink) -> None:
    script, limits = Script(batches=[[1]]), Limits(duration_ns=60_000_000_000)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    result = ran.go(script, program(limits), sink=stopped_reader)
    timer.join()
    assert (result.outcome, result.exit_code, ran.diary[-1]) == ("interrupted", 130, "detach")


def test_a_full_disk_ends_a_run_and_the_lost_records_are_counted(ran: Ran) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        result = ran.go(Script(batches=[[1, 2], [3]]), sink=Sink(full))
    assert (result.outcome, result.exit_code, result.complete) == ("output", 4, False)
    assert result.finished["lost"] == 3
    assert ran.diary[-1] == "detach"


@pytest.mark.parametrize("name", ["plan.yaml", "result.json.partial", "stacks.folded"])
def test_a_result_that_cannot_be_kept_is_no_success(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """run.finished, which is written after it, has the exit code of the process."""
    create = ResultDirectory._create_file

    def fail(self: ResultDirectory, wanted: str) -> int:
        if wanted == name:
            raise OutputLost(errno.ENOSPC, 0)
        return create(self, wanted)

    monkeypatch.setattr(ResultDirectory, "_create_file", fail)
    monkeypatch.setattr("orchestrator.run.ending.run_end.fold_stacks", lambda _metrics: ["a;b 1"])
    if name == "plan.yaml":
        with pytest.raises(OutputLost):
            ran.go(Script(batches=[[1]]), out=tmp_path / "out")
    else:
        assert ran.go(Script(batches=[[1]]), out=tmp_path / "out").exit_code == 4
    assert finished(ran)["exit_code"] == 4
    assert finished(ran)["complete"] is False


def test_a_log_that_fails_with_its_last_line_is_told_in_the_result(
    ran: Ran, tmp_path: Path
) -> None:
    class Full(Sink):
        def write(
            self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss
        ) -> None:
            if b"run.finished" in bytes(lines):
                self.failed = errno.ENOSPC
            super().write(lines, records, on_lost)

    out = tmp_path / "out"
    result = ran.go(Script(batches=[[1]]), sink=Full(ran.stream), out=out)
    kept = json.loads((out / "result.json").read_bytes())["run"]
    assert (result.exit_code, kept["exit_code"], kept["complete"]) == (4, 4, False)


def test_a_result_has_the_host_the_settings_and_the_label(ran: Ran, tmp_path: Path) -> None:
    """What it takes to add it to the results of other hosts."""
    ran.go(Script(batches=[[1, 2]]), out=tmp_path / "out", label="ring 1")
    result = checked_result(tmp_path / "out")
    assert result["format"] == "probeplan-result/1"
    assert (result["label"], result["mechanisms"]) == ("ring 1", {"opens": ["fake"]})
    assert result["settings"]["limits"]["duration"] == {"value": 100_000_000}
    assert result["settings"]["limits"]["at_cap"] == {"value": "stop"}
    assert ran.lines[0]["label"] == "ring 1"


def test_a_run_that_was_never_armed_leaves_a_valid_result(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no"):
        ran.go(Script(attach_error=OSError("no")), out=tmp_path / "out")
    result = checked_result(tmp_path / "out")
    assert (result["metrics"], result["run"]["outcome"]) == ([], "error")


def test_records_that_came_out_before_the_disk_was_full_are_counted_apart(ran: Ran) -> None:
    class Filling(Sink):
        def write(
            self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss
        ) -> None:
            if b"event.recorded" in bytes(lines) and self.delivered > 5:
                self._stream = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
            super().write(lines, records, on_lost)

    result = ran.go(Script(batches=[[1, 2, 3, 4], [5, 6]]), sink=Filling(ran.stream))
    emit = result.finished["ledger"]["probes"]["opens"]["emit"]
    assert (emit["recorded"], emit["delivered"], result.finished["lost"]) == (6, 4, 2)


def test_windows_are_differences_and_totals_come_last(ran: Ran) -> None:
    script = Script(batches=[[1, 2], [3], [], [4]])
    ran.go(script, program(Limits(duration_ns=500_000_000), every_ns=200_000_000))
    metrics = [line for line in ran.lines if line["event"] == "metric.reported"]
    windows = [m for m in metrics if not m["total"]]
    assert windows
    assert metrics[-1]["total"] is True
    counted = sum(cell["value"] for m in windows for cell in m["cells"])
    assert counted == metrics[-1]["cells"][0]["value"] == 4
    ends = [m["window"]["end"] for m in windows]
    assert [m["window"]["start"] for m in windows[1:]] == ends[:-1]
    assert len(windows) <= 3  # the end of the run ends the third: there is no sliver of a fourth


def test_a_failed_attachment_is_told_and_raised(ran: Ran) -> None:
    refusal = HostError([Finding(code="PP081", message="no such symbol")])
    with pytest.raises(HostError):
        ran.go(Script(attach_error=refusal))
    assert ran.kinds() == ["run.started", "run.finished"]
    last = ran.lines[-1]
    assert (last["exit_code"], last["outcome"], last["armed_at"]) == (3, "error", None)
    assert (last["startup_ms"], last["detach_ms"]) == (None, None)
    assert "no such symbol" in last["error"]


def test_a_fault_in_the_loop_still_detaches_and_tells_the_end(ran: Ran) -> None:
    def burst(n: int) -> None:
        raise RuntimeError("the session broke")

    with pytest.raises(RuntimeError, match="the session broke"):
        ran.go(Script(batches=[[1]], on_wait=burst), program(Limits(duration_ns=None)))
    assert ran.diary[-1] == "detach"
    assert finished(ran)["exit_code"] == 6
    assert finished(ran)["error"] == "the session broke"


def test_a_cleanup_that_fails_ends_with_6_and_says_what(ran: Ran) -> None:
    result = ran.go(Script(batches=[[1]], detach_error=OSError(16, "event x is still in use")))
    assert result.exit_code == 6
    assert "event x is still in use" in finished(ran)["error"]


def test_the_end_of_the_command_ends_the_run(ran: Ran) -> None:
    result = ran.go(what=program(Limits(duration_ns=20_000_000_000)), command=("true",))
    assert (result.exit_code, result.outcome) == (0, "command")
    assert finished(ran)["command_status"] == 0
    assert ran.lines[0]["command"] == ["true"]


def test_the_command_is_parked_until_the_probes_are_armed(ran: Ran, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    seen: list[bool] = []
    script = Script()
    session_arm = "tests.support.fake_backend.FakeSession.arm"

    def arm(self, deadline_ns: int) -> None:
        seen.append(proof.exists())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_arm, arm)
        ran.go(script, program(Limits(duration_ns=20_000_000_000)), command=("touch", str(proof)))
    assert seen == [False]
    assert proof.exists()
    assert ran.backend.options is not None
    assert ran.backend.options.root_pid == ran.result.command.pid


def test_a_command_that_fails_ends_with_5_and_its_status(ran: Ran) -> None:
    command = ("sh", "-c", "exit 7")
    result = ran.go(what=program(Limits(duration_ns=20_000_000_000)), command=command)
    assert (result.exit_code, finished(ran)["command_status"]) == (5, 7)


def test_a_command_that_a_signal_ended_is_told_as_a_shell_would(ran: Ran) -> None:
    command = ("sh", "-c", "kill -9 $$")
    result = ran.go(what=program(Limits(duration_ns=20_000_000_000)), command=command)
    assert (result.exit_code, finished(ran)["command_status"]) == (5, 137)


def test_a_command_that_outlives_the_run_is_waited_for_and_not_ended(ran: Ran) -> None:
    result = ran.go(command=("sh", "-c", "sleep 0.5; exit 3"))
    assert (result.outcome, result.exit_code) == ("duration", 5)
    assert finished(ran)["command_status"] == 3
    assert finished(ran)["duration_ns"] == 100_000_000
    [limit] = [line for line in ran.lines if line["event"] == "limit.reached"]
    assert (limit["limit"], limit["action"]) == ("duration", "stop")
    [reported] = ran.reported
    assert "is still running" in reported


@pytest.mark.parametrize(
    "command", [("sleep", "600"), ("sh", "-c", "trap '' TERM; exec sleep 600")]
)
def test_the_signal_that_ends_the_run_is_passed_on_to_the_command(ran: Ran, command) -> None:
    script = Script(on_wait=lambda n: os.kill(os.getpid(), signal.SIGTERM) if n == 9 else None)
    result = ran.go(script, program(Limits(duration_ns=None)), command=command)
    assert (result.outcome, result.exit_code) == ("interrupted", 143)
    assert result.command is not None
    assert result.command.ended_by_us
    if command[0] == "sleep":
        assert finished(ran)["command_status"] == 143
    else:  # it would not go: it is reported, and left to its owner
        assert finished(ran)["command_status"] is None
        assert "still run" in finished(ran)["error"]
        for pid, _ in result.command.left:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(result.command.pid, 0)


def test_descendants_that_outlive_the_command_are_told(ran: Ran) -> None:
    command = ("sh", "-c", "sleep 30 >/dev/null & exit 0")
    result = ran.go(what=program(Limits(duration_ns=20_000_000_000)), command=command)
    assert result.command is not None
    [(pid, comm)] = result.command.left
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert comm in ("sleep", "sh")
    assert "1 of its descendants still run" in finished(ran)["error"]


@pytest.mark.parametrize("missing", ["no-such-program", "/etc/passwd"])
def test_a_command_that_cannot_be_started_is_a_finding(ran: Ran, missing: str) -> None:
    with pytest.raises(PlanError) as caught:
        ran.go(command=(missing,))
    assert caught.value.findings[0].code == "PP092"
    assert missing in str(caught.value)
    assert finished(ran)["exit_code"] == 2


def test_a_program_that_the_kernel_refuses_to_execute_is_a_finding(ran: Ran, tmp_path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF but not really")
    broken.chmod(0o755)
    with pytest.raises(PlanError, match="Exec format error"):
        ran.go(command=(str(broken),))
    assert ran.diary[-1] == "detach"


def test_out_keeps_plan_program_events_and_result(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran.go(Script(batches=[[1]]), out=out)
    assert {path.name for path in out.iterdir()} == {
        *("plan.yaml", "program.c", "events.jsonl", "result.json")
    }
    assert (out / "events.jsonl").read_bytes() == ran.stream.getvalue()


def test_nothing_is_journalled_any_more_after_a_run(ran: Ran) -> None:
    ran.go(Script(batches=[[1]]))
    assert list(ran.journals[0].iterdir()) == []
