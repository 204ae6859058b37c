"""doctor: what a kernel supports, and whether `run` would run a plan on it."""

import json
import sys
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.cli.doctor import SECTIONS, examine
from orchestrator.cli.named_plan import NamedPlan
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from orchestrator.policy import file as policy_file
from orchestrator.run.prepare import prepare
from tests.support.paths import KERNELS
from tests.support.policies import a_policy
from tests.support.recorded import HEAD, recorded
from tests.support.signing import allow_line, make_key, sign_file

FACTS = recorded("6.1")
RECORDED = str(KERNELS / "6.1.facts.xz")


def a_plan(attach: str, rest: str = "") -> Plan:
    return load_plan((HEAD + f"probes:\n  p:\n    {attach}\n    emit: {{}}\n{rest}").encode())


READ = a_plan("attach: function:vfs_read")


def test_a_plan_runs_on_every_backend_that_supports_it() -> None:
    checkup = examine(NamedPlan(plan=READ), FACTS)
    assert (checkup.runs_on, checkup.problems) == (("bcc", "tracefs"), ())


def test_problems_are_listed_only_if_no_backend_can_run_the_plan() -> None:
    """Each names its backend."""
    stacks = "    let: {s: kstack}\n    metrics: {n: {count: true, by: [s]}}\n"
    by_stack = a_plan("attach: function:vfs_read", stacks)
    assert examine(NamedPlan(plan=by_stack), FACTS).runs_on == ("bcc",)
    assert examine(NamedPlan(plan=by_stack), FACTS).problems == ()
    checkup = examine(NamedPlan(plan=by_stack), FACTS, [a_policy("allow_backends: [tracefs]")])
    assert checkup.runs_on == ()
    assert {problem.code for problem in checkup.problems} >= {"PP126", "PP110"}
    assert all(f"the {name} backend" in str(checkup.problems) for name in ("bcc", "tracefs"))


def test_alternatives_that_the_kernel_lacks_are_listed() -> None:
    plan = a_plan("attach_first: [function:no_such_function, function:vfs_read]")
    [alternative] = examine(NamedPlan(plan=plan), FACTS).alternatives
    assert alternative.startswith("p: skips function:no_such_function: ")


def test_a_missing_attach_point_is_a_problem() -> None:
    checkup = examine(NamedPlan(plan=a_plan("attach: function:no_such_function")), FACTS)
    assert [problem.code for problem in checkup.problems] == ["PP080"]


@pytest.mark.parametrize(
    "rule",
    [
        "deny_kinds: [function]",
        "deny_symbols: ['vfs_*']",
        "limits: {memory: 64KiB}",
        "plans: ['" + "0" * 64 + "']",
        "signatures: {required: true, signers: /etc/signers}",
    ],
)
def test_doctor_and_run_apply_the_same_policy(rule: str) -> None:
    """Whatever run refuses, doctor reports, in the same words."""
    policies = [a_policy(rule)]
    try:
        prepare(READ, FACTS, policies, backend="bcc")
    except HostError as error:
        refused = error.findings
    checkup = examine(NamedPlan(plan=READ), FACTS, policies)
    assert set(refused) <= set(checkup.problems) or checkup.runs_on == ("tracefs",)
    assert "bcc" not in checkup.runs_on


def test_the_hosts_policy_applies_here_and_not_to_a_recorded_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(READ.source)
    policy = a_policy("deny_kinds: [function]")
    monkeypatch.setattr(policy_file, "read_host_policy", lambda: policy)
    monkeypatch.setattr("orchestrator.cli.doctor.facts_of", lambda _name: FACTS)
    assert main(["doctor", str(plan)]) == 3
    assert main(["doctor", str(plan), "--kernel", RECORDED]) == 0


def test_doctor_says_whether_a_signature_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By whom, or why not; and a plan that needs none is shown to have none."""
    plan, signers = tmp_path / "plan.yaml", tmp_path / "signers"
    plan.write_bytes(READ.source)
    ann = make_key(tmp_path, "ann")
    signers.write_text(allow_line("ann@x", ann))
    file = tmp_path / "policy.yaml"

    def doctor(required: str) -> tuple[int, str]:
        rules = f"signatures: {{required: {required}, signers: {signers}}}"
        file.write_text(f"apiVersion: probeplan/v1\nkind: Policy\n{rules}\n")
        code = main(["doctor", str(plan)])
        return code, capsys.readouterr().out

    monkeypatch.setattr(policy_file, "read_host_policy", lambda: policy_file.read_policy(file))
    monkeypatch.setattr("orchestrator.cli.doctor.facts_of", lambda _name: FACTS)
    code, text = doctor("false")
    assert (code, f"? signature: none, and {file} requires none" in text) == (0, True)
    code, text = doctor("true")
    assert (code, "error[PP131]: this plan is not signed" in text) == (3, True)
    sign_file(ann, plan)
    code, text = doctor("true")
    assert f"+ signature: by ann@x ({ann.fingerprint}), accepted by {file}" in text
    assert code == 0
    plan.write_bytes(READ.source + b"\n")
    code, text = doctor("false")
    assert (code, "incorrect signature" in text) == (3, True)


def test_text_and_json_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_bytes(READ.source)
    assert main(["doctor", str(plan), "--kernel", RECORDED]) == 0
    assert "+ it can run, on bcc and on tracefs" in capsys.readouterr().out
    assert main(["doctor", str(plan), "--kernel", RECORDED, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs_on"] == ["bcc", "tracefs"]


def test_the_host_record_has_every_feature(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--kernel", RECORDED, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    names = [name for section in SECTIONS.values() for name in section]
    assert list(record["features"]) == names
    assert main(["doctor", "--kernel", RECORDED]) == 0
    text = capsys.readouterr().out
    assert all(f" {name} " in text for name in names)


def test_a_plan_that_does_not_fit_the_kernel_is_invalid() -> None:
    plan = a_plan("attach: function:vfs_read", "    where: args.count == 'x'\n")
    with pytest.raises(PlanError):
        examine(NamedPlan(plan=plan), FACTS)


def test_the_interpreter_and_its_bcc_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """As this process has them, whatever the kernel is."""
    import bcc

    main(["doctor", "--kernel", RECORDED, "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["python"] == {
        "version": sys.version.split()[0],
        "executable": sys.executable,
    }
    assert shown["bcc"] == {"version": bcc.__version__, "module": bcc.__file__}
    main(["doctor", "--kernel", RECORDED])
    text = capsys.readouterr().out
    assert f"\npython {sys.version.split()[0]}: {sys.executable}\n" in text
    assert f"\nbcc {bcc.__version__}: {bcc.__file__}\n" in text


def test_an_interpreter_without_bcc_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.backends.bcc.compiler.key.find_spec", lambda _name: None)
    main(["doctor", "--kernel", RECORDED])
    assert f"\nbcc: none that {sys.executable} finds\n" in capsys.readouterr().out
    main(["doctor", "--kernel", RECORDED, "--json"])
    assert json.loads(capsys.readouterr().out)["bcc"] is None
