"""explain: the text contains what the JSON does, in sections."""

import json
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.policy import file as policy_file
from tests.support.paths import KERNELS, ROOT
from tests.support.recorded import HEAD

RECORDED = str(KERNELS / "6.1.facts.xz")
SLOW_IO = str(ROOT / "plans" / "fs" / "slow-io.yaml")


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["explain", *words, "--kernel", RECORDED]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_text_ends_with_the_program_that_the_json_contains(
    capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    shown = json.loads(explained(capsys, SLOW_IO, "--backend", backend, "--json"))
    text = explained(capsys, SLOW_IO, "--backend", backend)
    assert text.rstrip().endswith(shown["program"].rstrip())
    assert f"backend: {backend}\n" in text
    for probe in shown["probes"]:
        assert f"\nprobe {probe['probe']}" in text


def test_each_limit_has_its_source_and_who_enforces_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\nlimits: {duration: 3s}\n")
    words = (SLOW_IO, "--policy", str(policy), "--limit", "events=9")
    lines = explained(capsys, *words).splitlines()
    limits = {line.split()[0]: line for line in lines if ", from " in line}
    assert limits["duration"].endswith("enforced by the kernel, from a policy")
    assert limits["events"].endswith("from the command line")
    assert limits["memory"].endswith("computed before attaching, from the default")


def test_the_hosts_policy_does_not_apply_to_a_recorded_kernel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise AssertionError("the policy of another host was read")

    monkeypatch.setattr(policy_file, "read_host_policy", refuse)
    assert "policy" not in explained(capsys, SLOW_IO).partition("limits in force")[0]


def test_hot_points_are_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + "probes: {p: {attach: 'tracepoint:sched:sched_switch', emit: {}}}\n")
    text = explained(capsys, str(plan))
    assert "tracepoint:sched:sched_switch: it runs at every context switch" in text


def test_alternatives_that_are_not_taken_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    attach = "attach_first: ['function:no_such_function', 'function:vfs_read']"
    plan.write_text(HEAD + f"probes: {{p: {{{attach}, emit: {{}}}}}}\n")
    text = explained(capsys, str(plan))
    assert "alternatives not taken\n  p: function:no_such_function: " in text


def test_a_refused_backend_is_listed_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\nallow_backends: [tracefs]\n")
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + "probes: {p: {attach: 'function:vfs_read', emit: {}}}\n")
    text = explained(capsys, str(plan), "--policy", str(policy))
    assert "backend: tracefs\n  not bcc: it may not be used here" in text
