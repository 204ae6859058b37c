"""Whatever a cell, a reason or a file is called, each format stays what it is."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from orchestrator.check.report.annotations import list_annotations
from orchestrator.check.report.bmf import make_bmf
from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.report.junit import make_junit
from orchestrator.check.report.openmetrics import make_openmetrics
from orchestrator.check.report.step_summary import make_summary
from orchestrator.plan.findings import Position
from tests.support.check_reports import hostile_report

_PLAIN = hostile_report()
#: Also the bytes of names that are not UTF-8, and what means something to one of the formats.
TEXTS = st.one_of(
    st.text(st.characters(codec=None), min_size=1),
    st.lists(
        st.sampled_from(
            [
                "|",
                "\n",
                "\r",
                "::error::",
                "]]>",
                "<b>",
                "&",
                '"',
                "\\",
                "%0A",
                "\udc80",
                "`",
                "\x00",
            ]
        ),
        min_size=1,
    ).map("".join),
)


def named(label: str, reason: str, file: str) -> CheckReport:
    """The report with another name of its first cell, of its reason and of its file."""
    assert _PLAIN.verdict is not None
    [judged] = _PLAIN.verdict.expectations
    first, second = judged.series
    position = Position(file=file, line=2, column=3)
    judged = replace(
        judged,
        reasons=(reason,),
        series=(replace(first, label=label), second),
        expectation=replace(judged.expectation, position=position),
    )
    verdict = replace(_PLAIN.verdict, expectations=(judged,))
    return replace(_PLAIN, verdict=verdict, check=replace(_PLAIN.check, path=file))


@given(label=TEXTS, reason=TEXTS, file=TEXTS)
def test_files_are_read_back(label: str, reason: str, file: str) -> None:
    reports = [named(label, reason, file)]
    root = ET.fromstring(make_junit(reports, "fail"))  # noqa: S314  # it is our own
    assert [child.tag for child in root.iter("testcase")] == ["testcase"]
    families = list(text_string_to_metric_families(make_openmetrics(reports).decode()))
    assert [len(family.samples) for family in families] == [2, 2, 0, 5]
    assert len(json.loads(make_bmf(reports))) == 2 - (label == _PLAIN.judged[0].series[1].label)


@given(label=TEXTS, reason=TEXTS, file=TEXTS)
def test_an_annotation_is_one_command_with_the_same_fields(
    label: str, reason: str, file: str
) -> None:
    lines = list_annotations([named(label, reason, file)], "fail", folder="/w", workspace="/w")
    [line] = lines
    assert line.isprintable()
    assert re.fullmatch(r"::error (file=[^:,]*,line=2,col=3,)?title=[^:,]*::.*", line)


@given(label=TEXTS, reason=TEXTS, file=TEXTS)
def test_a_summary_is_one_table_and_one_list(label: str, reason: str, file: str) -> None:
    summary = make_summary([named(label, reason, file)]).decode()
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(summary)
    kinds = [token.type for token in tokens]
    assert (kinds.count("tr_open"), kinds.count("td_open")) == (3, 12)
    assert (kinds.count("bullet_list_open"), kinds.count("list_item_open")) == (1, 1)
    inner = {child.type for token in tokens for child in token.children or ()}
    assert inner <= {"text", "text_special", "strong_open", "strong_close"}
