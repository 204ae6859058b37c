"""explain, doctor and lint with a bundle: on recorded kernels, and without a compiler."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.bundle.file import read_bundle, write_bundle
from orchestrator.cli import main
from tests.support.bundled_runs import build_file
from tests.support.compiling import compile_to_nothing
from tests.support.paths import KERNELS
from tests.support.recorded import HEAD

PLAN = (
    f"{HEAD}params: {{least: {{type: int, default: 1}}, name: {{type: string, default: x}}}}\n"
    "probes: {p: {attach: 'tracepoint:sched:sched_switch', "
    "where: 'args.prev_comm == params.name and args.next_pid > params.least', "
    "emit: [args.next_pid]}}\n"
).encode()
OTHER = str(KERNELS / "6.12.facts.xz")
OLD = str(KERNELS / "5.10.facts.xz")


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_to_nothing(monkeypatch)


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(build_file(tmp_path / "x.ppb", PLAN, ["6.1"]))


def only_key(bundle: str, *, fetching: str = "used") -> str:
    """The key of the program that emits, with fetching atomics or without."""
    programs = read_bundle(Path(bundle).read_bytes(), bundle).programs
    [key] = [
        key
        for key, one in programs.items()
        if one.shape["fetching atomics"] == fetching and "bytes of a record" in one.shape
    ]
    return key


# ---------------------------------------------------------------- explain


def test_explain_shows_the_program_and_each_number_that_is_filled_in(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", bundle, "--kernel", OTHER]) == 0
    text = capsys.readouterr().out
    assert f"\nbundle {bundle}, made by probeplan " in text
    assert f"\n  its program for this kernel: {only_key(bundle)}\n" in text
    assert "\n  slot 0: sched:sched_switch." in text
    assert main(["explain", bundle, "--kernel", OTHER, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["bundle"]["key"] == only_key(bundle)
    assert {"name": "sched:sched_switch.next_pid", "value": 56} in shown["numbers"]


def test_a_kernel_without_atomics_is_served_by_the_variant_without(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which was made although no such kernel was recorded."""
    assert main(["explain", bundle, "--kernel", OLD, "--json"]) == 0
    key = json.loads(capsys.readouterr().out)["bundle"]["key"]
    assert key == only_key(bundle, fetching="not used")


def test_scalar_params_and_limits_may_be_set_and_texts_must_have_been_built(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", bundle, "--kernel", OTHER, "--backend", "bcc", "--json"]
    assert main([*words, "--set", "least=7", "--limit", "events=9"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"]["key"] == only_key(bundle)
    assert main([*words, "--set", "name=y"]) == 3
    errors = capsys.readouterr().err
    assert "error[PP244]" in errors
    assert "- probe p, text 'y': wanted used, and there it is missing" in errors
    assert "- probe p, text 'x': not wanted, and there it is used" in errors


def test_where_tracefs_is_taken_explain_says_why(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", bundle, "--kernel", OTHER, "--set", "name=y"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "backend: tracefs"
    assert lines[3].startswith("  not bcc: the bundle has no program of the shape")
    assert "    - probe p, text 'y': wanted used, and there it is missing" in lines


def test_a_finding_about_the_plan_is_at_its_place_in_the_bundle(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(bundle)
    kept = read_bundle(file.read_bytes(), bundle)
    broken = kept.plan_text.replace(b"args.next_pid]", b"args.no_such]")
    file.write_bytes(write_bundle(replace(kept, plan_text=broken, plan_file="a.yaml")))
    assert main(["explain", bundle, "--kernel", OTHER]) in (2, 3)
    assert f"{bundle}:a.yaml:5:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["explain", "doctor", "lint"])
def test_what_is_no_bundle_is_one_finding(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.ppb"
    file.write_bytes(Path(OTHER).read_bytes())
    assert main([command, str(file)]) == 2
    captured = capsys.readouterr()
    findings = [line for line in (captured.out + captured.err).splitlines() if "error[" in line]
    assert len(findings) == 1
    assert f"{file}: error[PP240]" in findings[0]


# ---------------------------------------------------------------- doctor


def test_doctor_names_the_program_that_serves_a_host(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", bundle, "--kernel", OTHER]) == 0
    assert (
        f"  + the bundle has a program for this host: {only_key(bundle)}\n"
        "  + it can run, on bcc and on tracefs\n"
    ) in capsys.readouterr().out


def test_doctor_says_what_is_missing_also_where_tracefs_serves(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", bundle, "--kernel", OTHER, "--set", "name=y", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["runs_on"] == ["tracefs"]
    assert shown["bundle"]["key"] is None
    assert [problem["code"] for problem in shown["problems"]] == ["PP244"]


def test_doctor_reports_a_bundle_that_may_not_be_used(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(bundle)
    kept = read_bundle(file.read_bytes(), bundle)
    file.write_bytes(write_bundle(replace(kept, created=1, expires=2)))
    assert main(["doctor", bundle, "--kernel", OTHER]) == 3
    text = capsys.readouterr().out
    assert "it expired at 1970-01-01T00:00:02Z" in text
    assert text.endswith("it cannot run here\n")


# ---------------------------------------------------------------- lint


def test_lint_checks_a_bundle_its_plan_and_its_programs(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", bundle, "--kernel", OTHER, OLD]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "1 bundle, no errors\n")


def test_lint_warns_of_kernels_that_only_tracefs_serves(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", bundle, "--set", "name=y", "--kernel", OTHER]) == 0
    captured = capsys.readouterr()
    assert f"{bundle}: warning[PP244]: on 6.12." in captured.out
    assert captured.err == "1 bundle, no errors, 1 warning\n"


def test_lint_reports_once_what_a_policy_refuses_on_every_kernel(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\ndeny_kinds: [tracepoint]\n")
    command = ["lint", bundle, "--policy", str(policy), "--kernel", OTHER, OLD]
    assert main([*command, "--format", "json"]) == 2
    refused = [f for f in json.loads(capsys.readouterr().out) if f["code"] == "PP121"]
    assert len(refused) == 1


# ---------------------------------------------------------------- other commands


def test_commands_that_take_no_bundles_say_which_do(
    bundle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", bundle]) == 2
    errors = capsys.readouterr().err
    assert f"{bundle}: error[PP003]: the file is packed by xz" in errors
    assert "`run`, `explain`, `lint` and `doctor` take bundles" in errors
