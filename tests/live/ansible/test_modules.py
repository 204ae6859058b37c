"""The modules of the collection on hosts with a real sshd."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.facts import live_facts
from tests.live.ansible.conftest import CALLS, CHANGED, CLOSES
from tests.support.netlab import Lab
from tests.support.playbooks import Played
from tests.support.requirements import needs_a_kernel
from tests.support.results import result_validator

pytestmark = needs_a_kernel

HOSTS = ("host01", "host02")
INSTALLED = ["/etc/probeplan/plans/closes.yaml", "/etc/probeplan/plans/closes.yaml.sig"]


def _lines(result: Any) -> list[str]:
    return sorted(result["stdout"].splitlines())


@pytest.mark.parametrize("host", HOSTS)
def test_check_mode_examines_and_changes_nothing(played: Played, host: str) -> None:
    checked = played.of("check", host)
    assert checked["state"] == "ok"
    assert checked["changed"]
    assert checked["mechanisms"]["close"]
    left = _lines(played.of("files after check", host))
    policy = ["/etc/probeplan/allowed_signers", "/etc/probeplan/policy.yaml"]
    assert left == (policy if host == "host02" else [])


@pytest.mark.parametrize("host", HOSTS)
def test_a_diff_shows_the_plan_and_the_digest_of_its_signature(played: Played, host: str) -> None:
    signature, plan = played.of("check", host)["diff"]
    assert plan["before"] == ""
    assert plan["after"].startswith("apiVersion: probeplan/v1\n")
    assert signature["after"].startswith("sha256: ")


@pytest.mark.parametrize("host", HOSTS)
def test_installing_again_changes_nothing(played: Played, host: str) -> None:
    assert played.of("install", host)["changed"]
    again = played.of("again", host)
    assert (again["state"], again["changed"], again["diff"]) == ("ok", False, [])
    assert again["sha256"] == again["plan_sha256"]


def test_each_host_judges_by_its_own_policy(played: Played) -> None:
    [accepted] = played.of("install", "host02")["signatures"]
    assert (accepted["status"], accepted["principal"]) == ("accepted", "ann@example.com")
    assert played.of("install", "host01")["signatures"] == []
    assert played.of("without a signature", "host01")["changed"]
    refused = played.of("without a signature", "host02")
    assert refused["state"] == "failed"
    assert [finding["code"] for finding in refused["findings"]] == ["PP131"]
    assert refused["msg"].startswith("closes.yaml: error[PP131]: this plan is not signed: there is")
    assert _lines(played.of("files", "host01")) == INSTALLED[:1]
    assert _lines(played.of("files", "host02")) == INSTALLED


@pytest.mark.parametrize("host", HOSTS)
def test_a_bad_plan_fails_with_a_line_for_each_error(played: Played, host: str) -> None:
    bad = played.of("bad", host)
    assert bad["state"] == "failed"
    assert bad["msg"].splitlines()[0].startswith("bad.yaml:11:")
    errors = [finding for finding in bad["findings"] if finding["severity"] == "error"]
    assert len(bad["msg"].splitlines()) == len(errors)
    for line, finding in zip(bad["msg"].splitlines(), errors, strict=True):
        place = f"bad.yaml:{finding['line']}:{finding['column']}"
        assert line.startswith(f"{place}: error[{finding['code']}]: ")


@pytest.mark.parametrize("host", HOSTS)
def test_a_run_returns_exactly_what_a_workload_did(played: Played, host: str) -> None:
    run = played.of("exact", host)
    assert (run["state"], run["changed"], run["outcome"]) == ("ok", True, "command")
    assert (run["exit_code"], run["complete"], run["reason"], run["lost"]) == (0, True, "", {})
    assert run["hits"] == {"close": CALLS}
    assert (run["governor_steps"], run["quarantine"]) == (0, {})
    result = run["fetched"]
    result_validator().validate(result)
    assert [cell["value"] for cell in result["metrics"][0]["cells"]] == [CALLS]
    assert (result["label"], result["run"]["host"]) == ("ring-1", host)
    assert run["result"] == f"/var/lib/probeplan/results/closes/{run['run_id']}/result.json"


def test_of_two_at_once_the_second_is_skipped_and_does_not_fail(played: Played) -> None:
    second = played.of("second of two")
    assert (second["state"], second["changed"], second["outcome"]) == ("ok", False, "skipped")
    assert "still" in second["reason"]
    first = played.of("over")
    assert (first["state"], first["changed"], first["outcome"]) == ("ok", True, "command")


def test_a_run_that_a_limit_cut_short_fails(played: Played) -> None:
    cut = played.of("cut short")
    assert (cut["state"], cut["exit_code"], cut["complete"]) == ("failed", 4, False)
    assert cut["changed"]
    assert cut["msg"] == cut["reason"] != ""


def test_a_refused_run_fails_with_the_reason(played: Played) -> None:
    expired = played.of("expired")
    assert (expired["state"], expired["exit_code"]) == ("failed", 3)
    assert (expired["outcome"], expired["changed"]) == ("refused", False)
    assert "2020-01-01" in expired["msg"]


def test_an_invalid_run_fails_with_its_findings(played: Played) -> None:
    wrong = played.of("no such param")
    assert (wrong["state"], wrong["exit_code"], wrong["outcome"]) == ("failed", 2, "invalid")
    assert wrong["findings"][0]["code"] in wrong["msg"]
    option = played.of("an option for a label")
    assert option["state"] == "failed"
    assert option["msg"] == "label: '--live' begins as an option does"


def test_check_mode_makes_no_run(played: Played) -> None:
    explained = played.of("only explained")
    assert (explained["outcome"], explained["run_id"]) == ("explained", None)
    made = ("exact", "over", "second of two", "cut short", "expired")
    assert _lines(played.of("runs")) == sorted(played.of(task)["run_id"] for task in made)


def test_a_plan_during_whose_run_the_host_went_down_is_quarantined(played: Played) -> None:
    after = played.of("after a crash")
    assert (after["state"], after["exit_code"]) == ("failed", 3)
    assert (after["outcome"], after["changed"]) == ("quarantined", False)
    assert after["quarantine"]["plan"] == "closes"
    assert after["quarantine"]["plan_sha256"] == sha256(CHANGED.encode()).hexdigest()
    assert after["quarantine"]["run_id"] == "1234abcd"
    facts = played.of("Look at the host")["ansible_facts"]["probeplan"]
    assert facts["quarantined"] == [after["quarantine"]]


def test_a_bundle_takes_the_place_of_the_plan(played: Played) -> None:
    bundled = played.of("bundled")
    assert bundled["path"] == "/etc/probeplan/plans/closes.ppb"
    assert bundled["plan_sha256"] == sha256(CLOSES.encode()).hexdigest()
    assert bundled["sha256"] != bundled["plan_sha256"]
    shown = {one["after_header"]: (one["before"], one["after"]) for one in bundled["diff"]}
    added, removed = shown.pop(bundled["path"]), shown.pop(INSTALLED[0])
    assert added == ("", f"sha256: {bundled['sha256']}\nbytes: {bundled['size']}\n")
    assert (removed[0].startswith("apiVersion: "), removed[1], shown) == (True, "", {})


def test_what_the_controller_cannot_send_fails_there(played: Played) -> None:
    missing = played.of("no such file")
    assert (missing["state"], "closed.yaml" in missing["msg"]) == ("failed", True)
    hidden = played.of("not a parameter")
    assert hidden["state"] == "failed"
    assert hidden["msg"].endswith("_staged: not a parameter of probeplan.fleet.plan")


def test_a_change_is_shown_and_absent_removes_all(played: Played) -> None:
    [plan] = played.of("changed")["diff"]
    assert ("default: 900" in plan["before"], "default: 901" in plan["after"]) == (True, True)
    assert played.of("remove")["changed"]
    again = played.of("remove again")
    assert (again["state"], again["changed"], again["path"]) == ("ok", False, None)


def test_facts_are_those_of_the_host(played: Played) -> None:
    facts = played.of("Look at the host")["ansible_facts"]["probeplan"]
    kernel = live_facts()
    assert facts["installed"]
    assert (facts["kernel"], facts["arch"]) == (os.uname().release, os.uname().machine)
    assert facts["build_id"] == kernel.build_id
    assert facts["backends"]["tracefs"]["state"] == kernel.feature("tracefs").state


def test_facts_without_probeplan_say_so_and_do_not_fail(played: Played) -> None:
    missing = played.of("nothing there")
    facts = missing["ansible_facts"]["probeplan"]
    assert (missing["state"], facts["installed"]) == ("ok", False)
    assert "/nonexistent/probeplan" in facts["why"]
    assert facts["build_id"] == live_facts().build_id


def test_the_documented_play_plays(played: Played) -> None:
    assert played.exit_code == 0, played.text
    said = played.of("Show what was counted")["msg"]
    assert said.startswith("command: ")
    assert said.endswith("failed, lost {}")
    assert played.of("Measure a workload")["hits"]["open"] >= 1


def test_nothing_is_left_on_the_hosts(played: Played, lab: Lab) -> None:
    """Of a play that is over only what keeps each host, and its sshd with the connection."""
    assert played.results
    for host in lab.hosts.values():
        names = {_name_of(pid) for pid in host.processes()}
        assert names <= {"sleep", "sshd", "sshd-session", ""}, names


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
