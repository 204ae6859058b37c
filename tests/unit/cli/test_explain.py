"""explain: the text contains what the JSON does, in sections."""

import json
from pathlib import Path

import pytest

from orchestrator.backends.bcc import backend as bcc_backend
from orchestrator.cli import explain, main
from orchestrator.plan.findings import Finding, HostError
from orchestrator.policy import file as policy_file
from tests.support.paths import KERNELS, ROOT
from tests.support.recorded import HEAD, recorded

RECORDED = str(KERNELS / "6.1.facts.xz")
SLOW_IO = str(ROOT / "plans" / "fs" / "slow-io.yaml")


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["explain", *words, "--kernel", RECORDED]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_the_source_is_printed_last_and_only_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    """The JSON always has it."""
    shown = json.loads(explained(capsys, SLOW_IO, "--backend", backend, "--json"))
    text = explained(capsys, SLOW_IO, "--backend", backend, "--source")
    assert text.rstrip().endswith(shown["program"].rstrip())
    short = explained(capsys, SLOW_IO, "--backend", backend)
    assert text.startswith(short.rstrip())
    assert "the program (" not in short
    assert f"backend: {backend}\n" in text
    for probe in shown["probes"]:
        assert f"\nprobe {probe['probe']}" in text


def test_what_is_attached_where_and_how_is_said_first_then_limits_then_each_probe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = explained(capsys, SLOW_IO, "--backend", "bcc")
    lines = text.splitlines()
    assert lines[1].startswith("  "), "the question that the plan answers"
    first = lines.index("attached: 11 attach points")
    assert lines[first + 1].split() == ["read", "syscall:read", "perf", "tracepoint"]
    assert lines[first + 2].split() == ["syscall:pread64", "perf", "tracepoint"]
    order = (
        "attached:",
        "limits in force",
        "kernel memory:",
        "done by the kernel: target",
        "\nprobe",
    )
    places = [text.index(heading) for heading in order]
    assert places == sorted(places)


def test_the_numbers_of_the_kernel_are_listed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of their slots; in the program they are comments."""
    shown = json.loads(explained(capsys, SLOW_IO, "--backend", "bcc", "--json"))
    assert {"name": "syscalls:sys_enter_read.count", "value": 32} in shown["numbers"]
    for slot, one in enumerate(shown["numbers"]):
        assert f"/* slot {slot}: {one['name']} = {one['value']} */\n" in shown["program"]
    assert json.loads(explained(capsys, SLOW_IO, "--backend", "tracefs", "--json"))["numbers"] == []


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


def test_a_record_of_each_key_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    probe = "attach: 'syscall:read', emit: [pid], once: {by: [comm], per: 1m, keys: 40}"
    plan.write_text(f"{HEAD}probes:\n  p: {{{probe}}}\n")
    text = explained(capsys, str(plan), "--backend", "bcc")
    assert "\n  recorded once in 1m for each of at most 40 keys: comm string" in text
    [shown] = json.loads(explained(capsys, str(plan), "--backend", "bcc", "--json"))["probes"]
    assert (shown["once"]["per_ns"], shown["once"]["keys"]) == (60_000_000_000, 40)


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


KERNEL_FILES = sorted(KERNELS.glob("*.facts*"))


@pytest.mark.parametrize("kernel", KERNEL_FILES, ids=lambda path: path.name.split(".facts")[0])
def test_explain_works_offline_with_every_recorded_kernel(kernel: Path, capsys) -> None:
    assert main(["explain", "context-switches", "--kernel", str(kernel)]) == 0
    reported = capsys.readouterr().out
    for heading in ("probe switch", "limits in force", "kernel memory:", "capabilities needed:"):
        assert heading in reported
    assert "#include" not in reported


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
    kernel = next(path for path in KERNEL_FILES if path.name.startswith("6.1"))
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
    arguments = ["--set", "threshold=20ms", "--kernel", str(KERNEL_FILES[0])]
    assert main(["explain", "slow-io", *arguments]) == 0
    assert "params: threshold=20ms\n" in capsys.readouterr().out


def test_explain_tells_alternatives_that_were_not_taken(capsys) -> None:
    lacking = next(path for path in KERNEL_FILES if "no-kprobes" in path.name)
    assert main(["explain", "vfs-reads", "--kernel", str(lacking), "--json"]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert reported["skipped"][0]["to"] == "function:vfs_read"
    assert "CONFIG_KPROBES" in reported["skipped"][0]["reason"]


def test_explain_of_tracefs_shows_the_very_writes_and_who_does_what(capsys) -> None:
    kernel = str(KERNEL_FILES[0])
    arguments = ["explain", "context-switches", "--backend", "tracefs", "--kernel", kernel]
    assert main([*arguments, "--source"]) == 0
    reported = capsys.readouterr().out
    assert "events/sched/sched_switch/enable" in reported
    assert "by user space, after the fact" in reported


def test_what_cannot_be_compiled_on_this_kernel_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `run` would, before it attaches anything; a recorded kernel's program is only printed."""

    def refuse(_artifact: object) -> None:
        raise HostError([Finding(code="PP089", message="too long")])

    monkeypatch.setattr(bcc_backend, "try_artifact", refuse)
    monkeypatch.setattr(explain, "policies_in_force", lambda _args: ())
    monkeypatch.setattr(explain, "facts_of", lambda _kernel: recorded("6.1"))
    explained(capsys, SLOW_IO, "--backend", "bcc")
    assert main(["explain", SLOW_IO, "--backend", "bcc"]) == 3
    assert "PP089" in capsys.readouterr().err
