"""Which files of a folder are checks."""

from pathlib import Path

import pytest

from orchestrator.check.find import find_check_files
from orchestrator.plan.findings import PlanError


def test_checks_are_found_below_a_folder_and_plans_are_not(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for file, text in (
        (below / "one.yaml", "kind: ProbeCheck\n"),
        (tmp_path / "two.yml", "apiVersion: probeplan/v1\nkind: 'ProbeCheck'\n"),
        (tmp_path / "plan.yaml", "kind: ProbePlan\nsummary: a ProbeCheck is something else\n"),
        (tmp_path / "three.txt", "kind: ProbeCheck\n"),
    ):
        file.write_text(text)
    found = list(find_check_files([str(tmp_path), "-", "named.yaml"]))
    assert found == [str(below / "one.yaml"), str(tmp_path / "two.yml"), "-", "named.yaml"]


def test_a_folder_without_a_check_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="there is no check in"):
        list(find_check_files([str(tmp_path)]))
