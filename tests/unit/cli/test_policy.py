"""policy show and policy check: what is printed, and the exit codes."""

import json
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.policy import file as policy_file
from orchestrator.signatures import ssh_keygen
from tests.support.paths import POLICIES, ROOT

PROD = POLICIES / "prod.yaml"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for the host's policy, in a directory as trusted as /etc/probeplan."""
    path = tmp_path / "probeplan" / "policy.yaml"
    path.parent.mkdir(mode=0o755)
    monkeypatch.setattr(policy_file, "HOST_POLICY", path)
    return path


def test_the_shipped_example_is_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """And `policy check` says so without a word."""
    assert main(["policy", "check", str(ROOT / "examples" / "policy.yaml")]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.root
def test_policy_show_tells_ceilings_and_their_places(
    host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several policies the least, each with where it is."""
    host.write_bytes(PROD.read_bytes())
    host.chmod(0o600)
    more = tmp_path / "more.yaml"
    more.write_text(
        "apiVersion: probeplan/v1\nkind: Policy\nlimits: {events: 7, duration: 1h, rate: 1/m}\n"
    )
    assert main(["policy", "show", str(more)]) == 0
    reported = capsys.readouterr().out
    assert f"events     7            ({more}:3:18)" in reported
    assert f"duration   10s          ({host}:6:13)" in reported
    assert f"rate       1/m          ({more}:3:41)" in reported
    assert "maintained by storage-security" in reported
    assert main(["policy", "show"]) == 0
    assert f"events     100          ({host}:7:11)" in capsys.readouterr().out


@pytest.mark.root
def test_policy_show_reports_what_protects_user_data_and_what_may_be_set(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what follows of another key, and a list that allows nothing."""
    host.write_text(
        "apiVersion: probeplan/v1\nkind: Policy\nuser_strings: hash\nallow_user: [stacks]\n"
        "allow_params: []\nallow_limits: [duration]\n"
    )
    host.chmod(0o600)
    assert main(["policy", "show"]) == 0
    reported = capsys.readouterr().out
    assert f"kernel_memory: typed ({host}:3:15)" in reported
    assert f"allow_user:\n  stacks ({host}:4:14)" in reported
    assert f"allow_params:\n  (none) ({host}:5:15)" in reported
    assert f"allow_limits:\n  duration ({host}:6:16)" in reported


@pytest.mark.root
def test_policy_check_says_when_the_hosts_is_not_trusted(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit code that runs would have."""
    host.write_bytes(PROD.read_bytes())
    host.chmod(0o666)
    assert main(["policy", "check"]) == 3
    assert "error[PP120]" in capsys.readouterr().out
    host.chmod(0o644)
    assert main(["policy", "check"]) == 0


def test_policy_show_and_check_say_who_may_sign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And that the lists of another host are not here, which is no error of the policy."""
    signers, file = tmp_path / "signers", tmp_path / "policy.yaml"
    file.write_text(
        "apiVersion: probeplan/v1\nkind: Policy\n"
        f"signatures: {{required: true, signers: {signers}, shipped: trusted}}\n"
    )
    assert main(["policy", "check", str(file)]) == 0
    checked = capsys.readouterr().out
    assert f"{file}:3:13: warning[PP133]: signatures could not be checked on this host" in checked
    assert main(["policy", "show", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f"here, {signers} cannot be read: No such file or directory ({file}:3:13)" in shown
    signers.write_text("")
    assert main(["policy", "check", str(file)]) == 0
    assert capsys.readouterr().out == ""
    assert main(["policy", "show", str(file)]) == 0
    line = f"signatures: required; by {signers}, shipped plans run without ({file}:3:13)"
    assert line in capsys.readouterr().out
    assert main(["policy", "show", str(file), "--json"]) == 0
    [rules] = json.loads(capsys.readouterr().out)["signatures"]
    assert rules == {
        "required": True,
        "signers": str(signers),
        "revoked": None,
        "shipped": "trusted",
        "unreadable": None,
        "at": f"{file}:3:13",
    }


@pytest.mark.root
def test_policy_check_warns_where_this_host_cannot_check_signatures(
    host: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is valid all the same."""
    (host.parent / "signers").write_text("")
    rules = f"signatures: {{required: true, signers: {host.parent}/signers}}"
    host.write_text(f"apiVersion: probeplan/v1\nkind: Policy\n{rules}\n")
    assert main(["policy", "check"]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(ssh_keygen, "DIRECTORIES", (str(tmp_path),))
    assert main(["policy", "check"]) == 0
    warned = capsys.readouterr().out
    assert f"{host}:3:13: warning[PP133]: signatures cannot be checked on this host" in warned
    assert f"no signed plan runs: there is no ssh-keygen in {tmp_path}" in warned
