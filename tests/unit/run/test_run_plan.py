"""run_plan: which policies apply, and what it hands to the run."""

import io
from pathlib import Path
from typing import Any

import pytest

from orchestrator import run_plan
from orchestrator.output.result import ResultDirectoryError
from orchestrator.output.sink import Sink
from orchestrator.plan.findings import HostError
from orchestrator.policy import file as policy_file
from orchestrator.policy.model import Policy
from orchestrator.run.report.result import RunResult
from tests.support.fake_backend import FakeBackend
from tests.support.fake_runs import checked_lines
from tests.support.policies import a_plan, a_policy
from tests.support.recorded import recorded

FACTS = recorded("6.1")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> list[Policy]:
    """The host's policies: none, unless a test adds one."""
    policies: list[Policy] = []
    monkeypatch.setattr(policy_file, "read_host_policy", lambda: policies[0] if policies else None)
    return policies


def ran(
    tmp_path: Path, *, duration: str = "20ms", **options: Any
) -> tuple[RunResult, list[dict[str, Any]]]:
    lines = io.BytesIO()
    result = run_plan(
        a_plan("tracepoint:sched:sched_switch", duration=duration),
        FACTS,
        backends={"bcc": FakeBackend()},
        journals=(tmp_path / "journals",),
        log=Sink(lines),
        **options,
    )
    return result, checked_lines(lines.getvalue())


def test_without_policies_the_hosts_applies(tmp_path: Path, host: list[Policy]) -> None:
    """A program that knows nothing of policies does not get around them."""
    host.append(a_policy("limits: {events: 7}", "host.yaml"))
    _, lines = ran(tmp_path)
    assert lines[0]["limits"]["events"]["value"] == 7
    assert [policy["file"] for policy in lines[0]["policies"]] == ["host.yaml"]


def test_policies_that_are_given_are_those_that_apply(tmp_path: Path, host: list[Policy]) -> None:
    """The command line reads the host's together with further ones, once."""
    host.append(a_policy("limits: {events: 7}", "host.yaml"))
    _, lines = ran(tmp_path, policies=[a_policy("limits: {events: 9}", "given.yaml")])
    assert lines[0]["limits"]["events"]["value"] == 9
    assert [policy["file"] for policy in lines[0]["policies"]] == ["given.yaml"]


def test_what_a_policy_forbids_leaves_no_trace(tmp_path: Path, host: list[Policy]) -> None:
    """No line, no journal, no directory of results."""
    out = tmp_path / "out"
    with pytest.raises(HostError, match="PP121"):
        ran(tmp_path, policies=[a_policy("deny_kinds: [tracepoint]")], out=out)
    assert list(tmp_path.iterdir()) == []


def test_a_duration_replaces_the_plans_and_policies_lower_it(
    tmp_path: Path, host: list[Policy]
) -> None:
    policy = a_policy("limits: {duration: 10ms}")
    for policies, expected, source in (((), 15, "command line"), ((policy,), 10, "policy")):
        result, lines = ran(tmp_path, duration_ns=15_000_000, policies=policies)
        limit = lines[0]["limits"]["duration"]
        assert (limit["value"], limit["from"]) == (expected * 10**6, source)
        assert result.finished["duration_ns"] == expected * 10**6


def test_out_keeps_plan_program_events_and_result(tmp_path: Path, host: list[Policy]) -> None:
    result, _ = ran(tmp_path, out=tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"plan.yaml", "program.c", "events.jsonl", "result.json"}
    assert result.exit_code == 0


def test_results_need_a_directory(tmp_path: Path, host: list[Policy]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultDirectoryError):
        ran(tmp_path, out=tmp_path / "file")
    assert not (tmp_path / "journals").exists()


def test_a_command_and_its_descendants_are_the_target(tmp_path: Path, host: list[Policy]) -> None:
    result, lines = ran(tmp_path, command=["true"], duration_ns=60 * 10**9)
    assert lines[0]["target"]["children"] is True
    assert lines[0]["command"] == ["true"]
    assert result.outcome == "command"
