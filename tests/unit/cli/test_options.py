"""Options that several commands share."""

import argparse
from pathlib import Path

import pytest

from orchestrator.cli.options import (
    add_plan_options,
    facts_of,
    further_policies,
    overrides,
    policies_in_force,
)
from orchestrator.plan.findings import PlanError
from orchestrator.policy import file as policy_file
from tests.support.paths import KERNELS, POLICIES

PROD = POLICIES / "prod.yaml"


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_plan_options(parser, takes_bundles=True)
    return parser.parse_args(words)


def test_overrides_are_arguments_of_load_plan_and_the_last_wins() -> None:
    words = ("--set", "a=1", "--set", "a=2=3", "--limit", "events=", "--target", "pid=4")
    assert overrides(parsed("plan", *words)) == {
        "settings": {"a": "2=3"},
        "target": {"pid": "4"},
        "limits": {"events": ""},
        "additions": {},
    }


def test_what_is_added_is_one_list_for_each_option() -> None:
    words = ("--by", "comm", "--by", "container,cpu", "--enrich", "containers")
    given = overrides(parsed("plan", *words))
    assert given["additions"] == {"by": "comm,container,cpu", "enrich": "containers"}


@pytest.mark.parametrize("pair", ["a", "=1", ""])
def test_a_pair_needs_a_key_and_an_equals_sign(
    pair: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed("plan", "--set", pair)
    assert f"{pair!r} is not KEY=VALUE" in capsys.readouterr().err


def test_facts_are_those_of_the_recording() -> None:
    assert facts_of(str(KERNELS / "6.1.facts.xz")).release.startswith("6.1")


@pytest.mark.parametrize("name", ["missing.xz", "text.xz"])
def test_what_is_not_a_recording_is_refused_with_the_cure(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.xz").write_text("no facts")
    with pytest.raises(PlanError, match=r"(?s)--kernel.*probeplan facts > FILE"):
        facts_of(str(tmp_path / name))


def test_a_further_policy_applies_in_addition_to_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this host; for another one only those that are named."""
    monkeypatch.setattr(policy_file, "read_host_policy", lambda: policy_file.read_policy(PROD))
    further = tmp_path / "further.yaml"
    further.write_text("apiVersion: probeplan/v1\nkind: Policy\nmax_runs: 3\n")
    args = parsed("plan", "--policy", str(further))
    assert [policy.file for policy in policies_in_force(args)] == [str(PROD), str(further)]
    assert [policy.file for policy in further_policies(args)] == [str(further)]
