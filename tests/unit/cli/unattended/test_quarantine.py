"""quarantine list and lift, and the other commands that show what is in quarantine."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main, run
from orchestrator.cli.unattended import quarantined
from orchestrator.plan.load import load_plan
from orchestrator.run.shipped import shipped_plans
from orchestrator.run.unattended.boot_marker import place_marker
from orchestrator.run.unattended.quarantine import QUARANTINE_NS, Quarantine, QuarantineEntry
from orchestrator.run.unattended.state import ROOT, StateDirectories

HOUR = 3600 * 10**9
DIGEST = "ab" * 32
Text = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of this host, which the commands look at."""
    monkeypatch.setattr(quarantined, "ROOT", tmp_path / "lib")
    return tmp_path / "lib"


def hold(root: Path, digest: str = DIGEST, name: str = "slow-io", hours_ago: int = 1) -> None:
    since = time.time_ns() - hours_ago * HOUR
    entry = QuarantineEntry(
        plan_digest=digest,
        plan_name=name,
        cause="host went down",
        detail="the host went down while it ran",
        since_ns=since,
        until_ns=since + QUARANTINE_NS,
        boot_id="3f0c2c5e-0000-4000-8000-000000000001",
        run_id="6568aa00112233",
    )
    Quarantine(root / "quarantine").add(entry)


def listed(capsys: Text) -> list[dict[str, Any]]:
    assert main(["quarantine", "list", "--format", "json"]) == 0
    entries: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return entries


def test_without_entries_it_says_so(root: Path, capsys: Text) -> None:
    assert main(["quarantine", "list"]) == 0
    assert capsys.readouterr().out == "no plan is in quarantine on this host\n"
    assert listed(capsys) == []
    assert not root.exists()


def test_an_entry_has_its_plan_its_cause_and_its_end(root: Path, capsys: Text) -> None:
    hold(root)
    assert main(["quarantine", "list"]) == 0
    plan, cause = capsys.readouterr().out.splitlines()
    assert plan.startswith("slow-io (abababababab): until 2")
    assert plan.endswith("(for 22 h 59 min)")
    assert cause == ("  host went down: the host went down while it ran, run 6568aa00112233")
    (entry,) = listed(capsys)
    assert entry.keys() == {
        *("plan", "plan_sha256", "cause", "detail", "since", "until", "run_id", "boot_id"),
    }
    assert (entry["plan"], entry["plan_sha256"], entry["cause"]) == (
        "slow-io",
        DIGEST,
        "host went down",
    )
    assert entry["since"] < entry["until"]


def test_a_damaged_entry_is_shown_and_lifted_by_its_digest(root: Path, capsys: Text) -> None:
    hold(root)
    (root / "quarantine" / f"{DIGEST}.json").write_bytes(b"")
    (entry,) = listed(capsys)
    assert (entry["plan"], entry["cause"], entry["run_id"]) == (None, "unknown", None)
    assert main(["quarantine", "list"]) == 0
    assert "the quarantine's file is damaged: it is not JSON" in capsys.readouterr().out
    assert main(["quarantine", "lift", DIGEST[:12]]) == 0
    assert capsys.readouterr().out == "abababababab: may run again\n"
    assert listed(capsys) == []


@pytest.mark.parametrize("how", ["slow-io", DIGEST, DIGEST[:16]])
def test_a_plan_is_lifted_by_name_or_digest(root: Path, capsys: Text, how: str) -> None:
    hold(root)
    hold(root, "cd" * 32, "opens")
    assert main(["quarantine", "lift", how]) == 0
    assert capsys.readouterr().out == "slow-io (abababababab): may run again\n"
    assert [entry["plan"] for entry in listed(capsys)] == ["opens"]


def test_a_file_lifts_its_own_version_alone(root: Path, capsys: Text, tmp_path: Path) -> None:
    file = tmp_path / "slow-io.yaml"
    file.write_text("a plan's text")
    hold(root)
    hold(root, hashlib.sha256(file.read_bytes()).hexdigest())
    assert main(["quarantine", "lift", str(file), "--format", "json"]) == 0
    (lifted,) = json.loads(capsys.readouterr().out)
    assert lifted["plan_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [entry["plan_sha256"] for entry in listed(capsys)] == [DIGEST]


def test_the_name_of_a_shipped_plan_lifts_its_damaged_entry(root: Path, capsys: Text) -> None:
    digest = hashlib.sha256(shipped_plans()["slow-io"].read_bytes()).hexdigest()
    hold(root, digest)
    (root / "quarantine" / f"{digest}.json").write_bytes(b"\0")
    assert main(["quarantine", "lift", "slow-io"]) == 0
    assert capsys.readouterr().out == f"{digest[:12]}: may run again\n"
    assert listed(capsys) == []


def test_where_there_is_nothing_to_lift_it_says_what_there_is(root: Path, capsys: Text) -> None:
    assert main(["quarantine", "lift", "slow-io"]) == 3
    assert "plans in quarantine: none" in capsys.readouterr().err
    hold(root)
    assert main(["quarantine", "lift", "slow"]) == 3
    error = capsys.readouterr().err
    assert "plan 'slow' is not in quarantine on this host" in error
    assert "plans in quarantine: slow-io (abababababab)" in error
    assert main(["quarantine", "lift", "./absent.yaml"]) == 2
    assert len(listed(capsys)) == 1


@pytest.mark.parametrize(
    ("arguments", "why"), [(["list", "slow-io"], "list shows all"), (["lift"], "lift needs a PLAN")]
)
def test_each_action_takes_what_it_needs(
    root: Path, capsys: Text, arguments: list[str], why: str
) -> None:
    assert main(["quarantine", *arguments]) == 2
    assert why in capsys.readouterr().err


def test_a_directory_that_others_can_write_to_is_not_believed(root: Path, capsys: Text) -> None:
    hold(root)
    (root / "quarantine").chmod(0o777)
    assert main(["quarantine", "list"]) == 3
    error = capsys.readouterr().err
    assert f"cannot be read: {root / 'quarantine'}: not used: other users can write to it" in error
    assert main(["quarantine", "lift", "slow-io"]) == 3
    assert "cannot be changed" in capsys.readouterr().err


# ---------------------------------------------------------------- other commands


def test_status_shows_what_is_in_quarantine(root: Path, capsys: Text) -> None:
    hold(root)
    assert main(["status"]) == 0
    text = capsys.readouterr().out
    assert "in quarantine for unattended runs" in text
    assert "\n  slow-io (abababababab): until" in text
    assert main(["status", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert isinstance(shown["runs"], list)
    assert [entry["plan"] for entry in shown["quarantined"]] == ["slow-io"]
    assert main(["status", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)


def test_doctor_shows_what_is_in_quarantine(root: Path, capsys: Text) -> None:
    hold(root)
    main(["doctor"])
    assert "\n  slow-io (abababababab): until" in capsys.readouterr().out
    main(["doctor", "--json"])
    assert json.loads(capsys.readouterr().out)["quarantined"][0]["plan_sha256"] == DIGEST


def test_doctor_of_a_plan_shows_its_quarantine(root: Path, capsys: Text) -> None:
    hold(root)
    main(["doctor", "slow-io", "--json"])
    assert json.loads(capsys.readouterr().out)["quarantined"] == []
    hold(root, hashlib.sha256(shipped_plans()["slow-io"].read_bytes()).hexdigest())
    main(["doctor", "slow-io", "--json"])
    assert len(json.loads(capsys.readouterr().out)["quarantined"]) == 1
    main(["doctor", "slow-io"])
    assert "  ? in quarantine for unattended runs:\n  slow-io (" in capsys.readouterr().out


def test_a_damaged_marker_needs_attention(root: Path, capsys: Text) -> None:
    marker = place_marker(
        root / "running", plan_digest=DIGEST, plan_name="p", run_id="r1", boot_id="b"
    )
    (root / "running" / "r1.json").write_bytes(b"")
    main(["doctor"])
    text = capsys.readouterr().out
    assert f"damaged: {root / 'running' / 'r1.json'} (it is not JSON)" in text
    marker.remove()


@pytest.mark.root
def test_a_user_who_may_not_look_is_not_misled(root: Path, capsys: Text) -> None:
    hold(root)
    os.seteuid(1234)
    try:
        assert main(["status", "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["quarantined"] is None
        assert main(["quarantine", "list"]) == 3
        assert "hint: run as root" in capsys.readouterr().err
    finally:
        os.seteuid(0)


# ---------------------------------------------------------------- run


def test_a_run_looks_where_the_quarantine_is() -> None:
    assert str(StateDirectories(root=ROOT).quarantine) == run._QUARANTINE


def test_a_run_that_is_watched_is_warned(
    root: Path, capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_QUARANTINE", str(root / "quarantine"))
    plan = load_plan(shipped_plans()["slow-io"])
    run._warn_of_quarantine(plan)
    assert capsys.readouterr().err == ""
    hold(root, plan.sha256)
    run._warn_of_quarantine(plan)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "probeplan: warning: this plan is in quarantine for unattended runs"
    assert lines[1].startswith(f"  slow-io ({plan.sha256[:12]}): until ")
    assert "host went down" in lines[2]


def test_a_quarantine_that_is_not_trusted_is_reported_and_keeps_no_one_from_running(
    root: Path, capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_QUARANTINE", str(root / "quarantine"))
    plan = load_plan(shipped_plans()["slow-io"])
    hold(root, plan.sha256)
    (root / "quarantine").chmod(0o777)
    run._warn_of_quarantine(plan)
    assert "other users can write to it" in capsys.readouterr().err
