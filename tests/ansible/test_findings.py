"""Findings as probeplan prints them become data again, and lines with file, line and column."""

import json
import string

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.lint import _format_json
from orchestrator.plan.findings import Finding, Position
from tests.support.collection import load_plugin

findings = load_plugin("module_utils.findings")

words = st.text(string.ascii_letters + string.digits + " '`:[](),.=…", min_size=1).map(
    lambda text: f"x{text}x"
)
paragraphs = st.lists(words, min_size=1, max_size=3).map("\n".join)
positions = st.builds(
    Position,
    file=st.sampled_from(["plan.yaml", "/run/a b/plan.yaml", "<command line>", "--limit rate"]),
    line=st.integers(0, 3),
    column=st.integers(1, 99),
).map(lambda place: place if place.line else Position(file=place.file))
made = st.builds(
    Finding,
    code=st.sampled_from(["PP001", "PP131"]),
    message=paragraphs,
    position=positions,
    hint=st.just("") | paragraphs,
    severity=st.sampled_from(["error", "warning"]),
)


@given(st.lists(made, max_size=4))
def test_text_and_json_say_the_same(given_findings: list[Finding]) -> None:
    text = "".join(f"{finding}\n" for finding in given_findings)
    from_text = findings.findings_from_text(f"1 plan, 2 errors\n{text}note: done\n")
    assert from_text == findings.findings_from_json(_format_json(given_findings))
    assert from_text == json.loads(_format_json(given_findings))


@given(made)
def test_each_finding_is_one_line(finding: Finding) -> None:
    (known,) = findings.findings_from_text(str(finding))
    line = findings.format_findings([known])
    assert "\n" not in line
    assert line.startswith(f"{finding.position}: {finding.severity}[{finding.code}]: ")


def test_what_is_no_finding_is_left_out() -> None:
    assert findings.findings_from_text("Traceback\n  hint: no\nprobeplan: it broke\n") == []
    assert findings.findings_from_json("probeplan: it broke") == []
    assert findings.findings_from_json('{"no": "list"}') == []


def test_a_file_is_renamed_in_every_text() -> None:
    place = Position(file="/run/x/plan.yaml.sig")
    finding = Finding(code="PP131", message="there is no /run/x/plan.yaml.sig", position=place)
    known = findings.findings_from_text(str(finding))
    (renamed,) = findings.rename_file(known, "/run/x/plan.yaml", "opens.yaml")
    assert renamed["file"] == "opens.yaml.sig"
    assert renamed["message"] == "there is no opens.yaml.sig"


def test_a_finding_of_both_counts_once() -> None:
    one = {"code": "PP001"}
    assert findings.merge_findings([one], [one, {"code": "PP002"}]) == [one, {"code": "PP002"}]
