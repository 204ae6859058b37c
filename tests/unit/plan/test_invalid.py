"""Every file in tests/data/plans/invalid has exactly the findings alongside it, in
CODE[-NAME].txt."""

import re
from pathlib import Path

import pytest

from orchestrator.plan.codes import CODES
from orchestrator.plan.load import check_plan
from tests.support.paths import PLAN_DATA, ROOT

INVALID = PLAN_DATA / "invalid"
CASES = sorted(INVALID.glob("*.yaml"))
#: Codes that no plan file can show; the tests named here do.
ELSEWHERE = {
    "PP001": "test_lint.py: missing and unreadable files",
    "PP002": "test_lint.py: a file of 100 MB",
    "PP012": "test_lint.py: a directory without plans",
    "PP067": "test_load.py: overrides",
    "PP068": "test_load.py: required params",
}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_invalid_plan_has_exactly_these_findings(
    case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code, place, words and hint of all findings are as recorded, and the case's own is there."""
    monkeypatch.chdir(INVALID)
    _, findings = check_plan(case.name)
    expected = case.with_suffix(".txt").read_text()
    assert "\n".join(map(str, findings)) + "\n" == expected
    assert case.stem[:5] in {finding.code for finding in findings}


def _codes(*folders: str) -> set[str]:
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    texts = [file.read_text() for file in files if file.parent.name != "codes"]
    return {code for text in texts for code in re.findall(r'"(PP\d{3})"', text)}


def test_every_code_in_the_sources_is_explained() -> None:
    """A code that a user meets can be looked up, and the table holds no code that nothing uses."""
    assert _codes("orchestrator") <= CODES.keys()
    assert _codes("orchestrator/plan", "orchestrator/cli") >= {c for c in CODES if c < "PP080"}


def test_every_code_of_the_language_has_an_example() -> None:
    """Each code of the plan language is shown by an invalid plan or by the test named above."""
    shown = {case.stem[:5] for case in CASES} | ELSEWHERE.keys()
    assert {code for code in _codes("orchestrator/plan") if code < "PP080"} <= shown
