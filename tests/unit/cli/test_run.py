"""`run`, `status`, `cleanup` and `explain` without a kernel: arguments, texts, exit codes."""

import argparse
import json
import os
from pathlib import Path

import pytest

import orchestrator
from orchestrator.cli import _make_parser, main
from orchestrator.cli.run import _note_absent
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.run.choice import choose_backend
from orchestrator.run.safety.journal import Journal, read_journals
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from orchestrator.run.shipped import find_plan, shipped_plans
from tests.support.fake_backend import FakeBackend, Script, program
from tests.support.paths import KERNELS, ROOT
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


def test_a_recording_without_root_is_told_to_be_partial(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("orchestrator.cli.facts.facts_bytes", lambda _facts: b"")
    for user, reported in ((1000, True), (0, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert main(["facts", "-o", str(tmp_path / "facts")]) == 0
        assert ("recorded as unknown" in capsys.readouterr().err) is reported


def test_a_second_plan_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        parsed("a.yaml", "b.yaml")
    assert "unrecognized arguments: b.yaml" in capsys.readouterr().err


def test_a_shipped_plan_is_found_by_its_name_and_a_path_stays_a_path(tmp_path) -> None:
    name, path = next(iter(shipped_plans().items()))
    assert find_plan(name) == str(path)
    assert find_plan("some/where.yaml") == "some/where.yaml"
    assert find_plan("-") == "-"


def test_a_plan_that_is_nowhere_gets_a_suggestion() -> None:
    name = next(iter(shipped_plans()))
    with pytest.raises(PlanError, match=f"did you mean '{name}'"):
        find_plan(name[:-1] + "x")


# ---------------------------------------------------------------- the choice of a backend

REFUSAL = (Finding(code="PP110", message="sampling would be done in user space"),)


def test_auto_takes_bcc_when_both_can() -> None:
    both = {"bcc": FakeBackend(name="bcc"), "tracefs": FakeBackend(name="tracefs")}
    choice = choose_backend(program(), None, "auto", both)  # type: ignore[arg-type]
    assert (choice.artifact.backend, choice.refused) == ("bcc", {})


def test_auto_takes_tracefs_when_bcc_cannot_and_keeps_the_reason() -> None:
    both = {
        "bcc": FakeBackend(Script(refusal=REFUSAL), name="bcc"),
        "tracefs": FakeBackend(name="tracefs"),
    }
    choice = choose_backend(program(), None, "auto", both)  # type: ignore[arg-type]
    assert choice.artifact.backend == "tracefs"
    assert choice.refused == {"bcc": REFUSAL}


def test_auto_never_moves_work_into_user_space_and_tells_why_per_backend() -> None:
    both = {name: FakeBackend(Script(refusal=REFUSAL), name=name) for name in ("bcc", "tracefs")}
    with pytest.raises(HostError) as caught:
        choose_backend(program(), None, "auto", both)  # type: ignore[arg-type]
    assert [finding.message for finding in caught.value.findings] == [
        "the bcc backend: sampling would be done in user space",
        "the tracefs backend: sampling would be done in user space",
    ]


def test_a_backend_that_is_named_may_do_it_in_user_space() -> None:
    both = {"tracefs": FakeBackend(Script(refusal=REFUSAL), name="tracefs")}
    assert choose_backend(program(), None, "tracefs", both).artifact.backend == "tracefs"  # type: ignore[arg-type]


def test_more_memory_than_the_limit_is_refused_before_anything_is_attached() -> None:
    from orchestrator.plan.model import Limits

    backends = {"bcc": FakeBackend()}
    with pytest.raises(HostError, match="needs 4,096 bytes"):
        choose_backend(program(Limits(memory=4095)), None, "bcc", backends)  # type: ignore[arg-type]


# ---------------------------------------------------------------- status and cleanup


@pytest.fixture
def journal_directory(tmp_path: Path, monkeypatch) -> Path:
    """A directory of journals of the test's own, which the commands look at."""
    directories = (tmp_path / "journals",)

    def ours() -> list:
        return list(read_journals(directories))

    monkeypatch.setattr("orchestrator.cli.status.read_journals", ours)
    monkeypatch.setattr(
        "orchestrator.cli.cleanup.clean_up_dead_runs",
        lambda *, dry_run: clean_up_dead_runs(dry_run=dry_run, directories=directories),
    )
    return directories[0]


def test_status_shows_live_and_dead_runs(journal_directory: Path, capsys) -> None:
    live = Journal("live1", plan="a", backend="bcc", probes=2, directories=(journal_directory,))
    live.add("event", "probeplan_live1/e")
    dead = Journal("dead1", plan="b", backend="tracefs", probes=1, directories=(journal_directory,))
    dead.add("instance", "probeplan-dead1")
    dead.close()
    assert main(["status", "--json"]) == 0
    runs = {run["run_id"]: run for run in json.loads(capsys.readouterr().out)}
    assert (runs["live1"]["state"], runs["dead1"]["state"]) == ("live", "dead")
    assert runs["live1"]["in_kernel"] == [{"kind": "event", "name": "probeplan_live1/e"}]
    assert main(["status"]) == 0
    table = capsys.readouterr().out
    assert "event:probeplan_live1/e" in table
    live.done("event", "probeplan_live1/e")
    live.close()


@pytest.mark.root
def test_status_without_runs_says_so(journal_directory: Path, capsys) -> None:
    assert main(["status"]) == 0
    assert capsys.readouterr().out == "no runs\n"


@pytest.mark.root
def test_cleanup_tells_first_and_then_does(journal_directory: Path, capsys) -> None:
    dead = Journal("dead1", plan="b", backend="tracefs", probes=1, directories=(journal_directory,))
    dead.add("instance", "probeplan-never-made")
    dead.close()
    assert main(["cleanup", "--dry-run"]) == 0
    assert "would remove instance probeplan-never-made" in capsys.readouterr().out
    assert dead.path.exists()
    assert main(["cleanup"]) == 0
    assert "nothing was left in the kernel" in capsys.readouterr().out
    assert not dead.path.exists()
    assert main(["cleanup"]) == 0
    assert capsys.readouterr().out == "nothing to clean up\n"


@pytest.mark.root
def test_cleanup_that_cannot_remove_everything_ends_with_6(journal_directory, capsys) -> None:
    dead = Journal("dead1", plan="b", backend="tracefs", probes=1, directories=(journal_directory,))
    dead.add("instance", "somebody-else")
    dead.close()
    [reported] = clean_up_dead_runs(directories=(journal_directory,))
    assert "could not remove instance somebody-else: its name is not one of ours" in str(reported)
    assert main(["cleanup"]) == 6
    assert "could not remove instance somebody-else" in capsys.readouterr().err


# ---------------------------------------------------------------- explain


@pytest.mark.parametrize("kernel", RECORDED, ids=lambda path: path.name.split(".facts")[0])
def test_explain_works_offline_with_every_recorded_kernel(kernel: Path, capsys) -> None:
    assert main(["explain", "context-switches", "--kernel", str(kernel)]) == 0
    reported = capsys.readouterr().out
    for heading in ("probe switch", "limits in force", "kernel memory:", "capabilities needed:"):
        assert heading in reported
    assert "#include" in reported


@pytest.mark.parametrize("wrong", [b"", b"kind: ProbePlan", b"\xfd7zXZ\0 and no more"])
def test_a_file_that_is_no_recording_is_a_finding(tmp_path: Path, capsys, wrong: bytes) -> None:
    (tmp_path / "facts").write_bytes(wrong)
    for command in (["explain", "opens"], ["doctor", "opens"], ["doctor"]):
        assert main([*command, "--kernel", str(tmp_path / "facts")]) == 2
        assert "--kernel: error[PP001]" in capsys.readouterr().err
        assert main([*command, "--kernel", str(tmp_path / "nowhere")]) == 2
        assert "nowhere': No such file" in capsys.readouterr().err


def test_explain_tells_what_is_computed_in_user_space(capsys) -> None:
    """The figures as the plan has them, and how often they are judged, if any."""
    kernel = next(path for path in RECORDED if path.name.startswith("6.1"))
    example = str(ROOT / "examples" / "10-figures.yaml")
    assert main(["explain", example, "--kernel", str(kernel)]) == 0
    reported = capsys.readouterr().out
    assert "  mean = read.bytes / read.calls bytes\n" in reported
    assert "    warn if value > 12.5 and rate > 100\n" in reported
    assert "  warn of read.latency if p99 > params.slow\n" in reported
    assert "  stop when total(read.failed) > 100000 or failing > 99, judged every 1s\n" in reported
    assert main(["explain", "opens", "--kernel", str(kernel)]) == 0
    assert "computed of metrics" not in capsys.readouterr().out


def test_explain_shows_params_as_set_takes_them(capsys) -> None:
    arguments = ["--set", "threshold=20ms", "--kernel", str(RECORDED[0])]
    assert main(["explain", "slow-io", *arguments]) == 0
    assert "params: threshold=20ms\n" in capsys.readouterr().out


def test_explain_tells_alternatives_that_were_not_taken(capsys) -> None:
    lacking = next(path for path in RECORDED if "no-kprobes" in path.name)
    assert main(["explain", "vfs-reads", "--kernel", str(lacking), "--json"]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert reported["skipped"][0]["to"] == "function:vfs_read"
    assert "CONFIG_KPROBES" in reported["skipped"][0]["reason"]


def test_explain_of_tracefs_shows_the_very_writes_and_who_does_what(capsys) -> None:
    kernel = str(RECORDED[0])
    arguments = ["explain", "context-switches", "--backend", "tracefs", "--kernel", kernel]
    assert main(arguments) == 0
    reported = capsys.readouterr().out
    assert "events/sched/sched_switch/enable" in reported
    assert "by user space, after the fact" in reported


# ---------------------------------------------------------------- the public API


def test_the_public_api_is_what_it_says() -> None:
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = orchestrator.nothing


def test_importing_the_command_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    heavy = {"numpy", "structlog", "rich", "jsonschema", "orjson", "bcc", "elftools"}
    code = "import sys, orchestrator.cli.run; print(*(m for m in sys.modules if '.' not in m))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy & set(found.stdout.split()) == set()
