"""Signed plans by the command line: explain and lint, their exit codes, and the example for CI."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator.bundle.file import write_bundle
from orchestrator.bundle.opening import open_bundle
from orchestrator.cli import _make_parser, main
from orchestrator.policy.file import read_policy
from orchestrator.run.shipped import shipped_plans
from tests.support.bundles import make_bundle
from tests.support.paths import ROOT
from tests.support.recorded import HEAD
from tests.support.signing import KeyPair, allow_line, make_key, sign_file

KERNEL = str(ROOT / "kernels" / "6.1.facts.xz")
SIGNING = ROOT / "examples" / "signing"
PLAN = f"{HEAD}probes:\n  p: {{attach: 'tracepoint:sched:sched_switch', emit: {{}}}}\n".encode()


@pytest.fixture
def ann(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path, "ann")


@pytest.fixture
def policy(tmp_path: Path, ann: KeyPair) -> str:
    """Requires the signature of ann."""
    return _a_policy(tmp_path, "policy", allow_line("ann@x", ann))


def _a_policy(folder: Path, name: str, signers: str, more: str = "required: true") -> str:
    (folder / f"{name}.signers").write_text(signers)
    file = folder / f"{name}.yaml"
    rules = f"signatures: {{signers: {folder}/{name}.signers, {more}}}"
    file.write_text(f"apiVersion: probeplan/v1\nkind: Policy\n{rules}\n")
    return str(file)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_bytes(PLAN)
    return file


def explain(plan: str, policy: str) -> int:
    return main(["explain", plan, "--kernel", KERNEL, "--policy", policy])


def test_explain_refuses_with_3_and_names_the_signer_of_what_it_takes(
    plan: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(str(plan), policy) == 3
    assert "error[PP131]: this plan is not signed" in capsys.readouterr().err
    sign_file(ann, plan)
    assert explain(str(plan), policy) == 0
    signed = f"signature: by ann@x ({ann.fingerprint}), accepted by {policy}"
    assert signed in capsys.readouterr().out
    plan.write_bytes(PLAN + b"\n")
    assert explain(str(plan), policy) == 3
    errors = capsys.readouterr().err
    assert f"{plan}.sig: error[PP132]: the signature is refused: Signature verif" in errors


def test_a_plan_from_standard_input_is_unsigned(
    policy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAN)))
    assert explain("-", policy) == 3
    assert "<stdin>: error[PP131]" in capsys.readouterr().err


def test_a_shipped_plan_by_its_name_runs_where_the_policy_trusts_it(
    tmp_path: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("opens", policy) == 3
    assert "copy it to FILE, and sign that" in capsys.readouterr().err
    more = "required: true, shipped: trusted"
    trusting = _a_policy(tmp_path, "trusting", allow_line("ann@x", ann), more)
    assert explain("opens", trusting) == 0
    shown = f"signature: none, but {trusting} trusts plans that come with probeplan"
    assert shown in capsys.readouterr().out
    changed = tmp_path / "opens.yaml"
    changed.write_bytes(shipped_plans()["opens"].read_bytes() + b"\n")
    assert explain(str(changed), trusting) == 3


def test_lint_foresees_what_a_run_refuses(
    plan: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    """With and without recorded kernels, each reason once."""
    for more in ([], ["--kernel", KERNEL]):
        command = ["lint", str(plan), "--policy", policy, "--format", "json", *more]
        assert main(command) == 2
        [finding] = json.loads(capsys.readouterr().out)
        assert (finding["code"], finding["file"]) == ("PP131", str(plan))
        signature = sign_file(ann, plan)
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out) == []
        signature.write_text("\x1b[2Jjunk\n::error::x\n")
        assert main(command) == 2
        [finding] = json.loads(capsys.readouterr().out)
        assert (finding["code"], finding["file"]) == ("PP132", str(signature))
        signature.unlink()


def test_lint_judges_the_plan_of_a_check_by_its_own_signature(
    tmp_path: Path, plan: Path, policy: str, ann: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    """One in a file by that file's, one that is part of the check by the check's."""
    head = "apiVersion: probeplan/v1\nkind: ProbeCheck\nmetadata: {name: c, summary: s}\n"
    rest = "workload: {run: [/bin/true]}\nexpect: {few: p.n <= 3}\n"
    probes = "probes: {p: {attach: 'tracepoint:sched:sched_switch', metrics: {n: {count: true}}}}"
    plan.write_text(f"{HEAD}{probes}\n")
    outside, inside = tmp_path / "outside.yaml", tmp_path / "inside.yaml"
    outside.write_text(f"{head}plan: ./plan.yaml\n{rest}")
    inside.write_text(f"{head}plan: {{{probes}}}\n{rest}")
    for check, signed in ((outside, plan), (inside, inside)):
        assert main(["lint", str(check), "--policy", policy]) == 2
        assert f"there is no {signed}.sig" in capsys.readouterr().out
        sign_file(ann, signed)
        assert main(["lint", str(check), "--policy", policy]) == 0, capsys.readouterr()
        capsys.readouterr()


# ---------------------------------------------------------------- the example for CI


def test_the_example_signs_plans_that_the_example_policy_takes(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a key that is gone afterwards; until its certificate ends or is revoked by its name."""
    authority = make_key(tmp_path, "authority")
    revoked = tmp_path / "revoked_keys"
    revoked.write_bytes(b"")
    line = 'ci@example.com cert-authority,namespaces="probeplan" ' + authority.public
    (tmp_path / "allowed_signers").write_text(f"{line}\n")
    text = (SIGNING / "policy.yaml").read_text().replace("/etc/probeplan", str(tmp_path))
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)

    def sign(validity: str) -> None:
        words = (authority.path, "plans 3f1c2d9", "ci@example.com", validity, plan)
        subprocess.run([SIGNING / "sign-plans", *words], check=True, timeout=60)

    sign("-5m:+90d")
    assert explain(str(plan), str(policy)) == 0, capsys.readouterr()
    assert "signature: by ci@example.com (SHA256:" in capsys.readouterr().out
    subprocess.run(
        ["ssh-keygen", "-q", "-k", "-f", revoked, "-s", f"{authority.path}.pub", "-"],
        input=b"id: plans 3f1c2d9\n",
        check=True,
        timeout=60,
    )
    assert explain(str(plan), str(policy)) == 3
    assert f"is revoked by {revoked}" in capsys.readouterr().err
    revoked.write_bytes(b"")
    sign("20200101:20200102")
    assert explain(str(plan), str(policy)) == 3
    assert "Certificate invalid: expired" in capsys.readouterr().err


def test_the_example_says_how_it_is_called() -> None:
    done = subprocess.run(
        [SIGNING / "sign-plans", "key"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: sign-plans CA_KEY IDENTITY PRINCIPAL VALIDITY FILE...\n")
    assert done.stderr.endswith("so do its signatures\n")


@pytest.mark.parametrize("name", ["github-sign.yaml", "github-bundles.yaml"])
def test_the_example_jobs_are_as_github_wants_them(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    done = subprocess.run(
        [*command, "vendor.github-workflows", str(SIGNING / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


#: Stands for the client of a registry: its arguments are kept, and the password on standard input.
ORAS = """\
#!/bin/sh
echo "$*" >> "$ORAS_LOG"
case $1 in login) cat >> "$ORAS_LOG"; echo >> "$ORAS_LOG";; push) ls >> "$ORAS_LOG";; esac
"""


def run_step(name: str, folder: Path, **environment: str) -> None:
    """Run a step of the job that builds bundles, as GitHub does, in the checkout `folder`."""
    job = yaml.safe_load((SIGNING / "github-bundles.yaml").read_text())["jobs"]["bundles"]
    [step] = [step for step in job["steps"] if step.get("name", "").startswith(name)]
    path = f"{folder}/tools:/usr/bin:/bin"
    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder / step.get("working-directory", "."),
        env={"PATH": path, "RUNNER_TEMP": str(folder / "temp"), **environment},
        check=True,
        timeout=60,
    )


def test_the_example_job_builds_signs_and_pushes_bundles(tmp_path: Path, ann: KeyPair) -> None:
    """Each of its steps, with programs in the place of probeplan and of the registry's client that
    keep what they are given; what was signed is opened under the example's policy."""
    for folder in ("tools", "temp/probeplan/bin", "scripts", "plans", "fleet"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("plans/slow-io.yaml", "plans/opens.yaml", "fleet/web.facts.xz"):
        (tmp_path / file).write_bytes(b"")
    log, builder = tmp_path / "log", tmp_path / "temp/probeplan/bin/probeplan"
    (tmp_path / "tools/oras").write_text(ORAS)
    (tmp_path / "tools/git").write_text("#!/bin/sh\necho 1790000000\n")
    builder.write_text('#!/bin/sh\necho "$SOURCE_DATE_EPOCH $*" > words\n')
    (tmp_path / "scripts/sign-plans").write_bytes((SIGNING / "sign-plans").read_bytes())
    for tool in (tmp_path / "tools/oras", tmp_path / "tools/git", builder):
        tool.chmod(0o755)
    (tmp_path / "scripts/sign-plans").chmod(0o755)

    run_step("Build", tmp_path)
    epoch, command, *words = (tmp_path / "words").read_text().split()
    assert (epoch, command) == ("1790000000", "bundle")
    options = _make_parser("bundle").parse_args([command, *words])
    assert options.plans == ["plans/opens.yaml", "plans/slow-io.yaml"]
    assert (options.kernel, options.output) == (["fleet/web.facts.xz"], "bundles/")
    assert options.expires == "2026-12-20"

    content = write_bundle(make_bundle())
    for name in ("opens", "slow-io"):
        (tmp_path / f"bundles/{name}.ppb").write_bytes(content)
    about = {"GITHUB_SHA": "3f1c2d9", "GITHUB_REPOSITORY": "org/plans"}
    run_step("Sign", tmp_path, PLAN_CA_KEY=ann.path.read_text().strip(), **about)
    assert not (tmp_path / "temp/authority").exists()

    registry = {
        "BUNDLE_REGISTRY": "registry.example/org/bundles",
        "REGISTRY_USER": "ci",
        "REGISTRY_TOKEN": "s e c r e t",
        "ORAS_LOG": str(log),
    }
    run_step("Push", tmp_path, **about, **registry)
    login, given, push, *_ = log.read_text().splitlines()
    assert login == "login registry.example --username ci --password-stdin"
    assert given == registry["REGISTRY_TOKEN"]
    assert push == (
        "push registry.example/org/bundles/opens:3f1c2d9,latest --artifact-type "
        "application/vnd.probeplan.bundle.v1 opens.ppb:application/x-xz opens.ppb.sig:text/plain"
    )
    assert {"opens.ppb", "opens.ppb.sig", "slow-io.ppb.sig"} <= set(log.read_text().split())

    (tmp_path / "revoked_keys").write_bytes(b"")
    line = f'ci@example.com cert-authority,namespaces="probeplan" {ann.public}\n'
    (tmp_path / "allowed_signers").write_text(line)
    text = (SIGNING / "policy.yaml").read_text().replace("/etc/probeplan", str(tmp_path))
    (tmp_path / "policy.yaml").write_text(text)
    file = str(tmp_path / "bundles/opens.ppb")
    policy = read_policy(tmp_path / "policy.yaml")
    [acceptance] = open_bundle(content, file, [policy], "x86_64", 1_795_000_000).acceptances
    assert acceptance.signer is not None
    assert acceptance.signer.principal == "ci@example.com"
