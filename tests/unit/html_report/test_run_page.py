import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from orchestrator.accounting.vocabulary import NOTE
from orchestrator.html_report.log_digest import digest_log
from orchestrator.html_report.run_page import make_run_page
from orchestrator.html_report.validity import check_document
from tests.support.report_runs import (
    HOSTILE,
    RUN_ID,
    cell,
    hostile_source,
    log_lines,
    make_metric,
    recorded_document,
    source_of,
)

KNOWN = {"html", "head", "meta", "title", "style", "body", "a", "header", "h1", "nav", "ul", "li"}
KNOWN |= {"main", "section", "h2", "h3", "p", "strong", "dl", "div", "dt", "dd", "article", "table"}
KNOWN |= {"caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "details", "span"}
KNOWN |= {"summary", "pre", "code", "footer", "script"}


class Reader(HTMLParser):
    """The elements of a page, and the texts of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self._open: tuple[str, dict[str, str | None]] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        self._open = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[0] == "script":
            self.scripts.append((self._open[1], data))
        elif self._open:
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    @property
    def data(self) -> Any:
        """What the script draws."""
        [text] = [text for form, text in self.scripts if form.get("type") == "application/json"]
        return json.loads(text)

    @property
    def links(self) -> list[str | None]:
        """What the page refers to."""
        return [value for name, value in self.attributes if name in ("src", "href")]


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return make_run_page(hostile_source())


def test_hostile_names_become_no_elements(hostile_page: str) -> None:
    read = Reader(hostile_page)
    assert set(read.names) <= KNOWN
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]
    assert not [
        value for name, value in read.attributes if name in ("src", "href") and value[:1] != "#"
    ]


def test_hostile_names_are_shown_as_text(hostile_page: str) -> None:
    assert "&lt;img src=x onerror=window.pwned=1&gt;" in hostile_page
    assert not set("\x1b\u202e\u2028\u2029") & set(hostile_page)


def test_the_policy_permits_exactly_the_scripts_and_styles_of_the_page(hostile_page: str) -> None:
    read = Reader(hostile_page)
    policy = re.search(r'content="(default-src[^"]*)"', hostile_page)
    assert policy is not None
    permitted = set(re.findall(r"sha256-([^&]+)&#x27;", policy[1]))
    texts = [
        text for attributes, text in read.scripts if attributes.get("type") != "application/json"
    ]
    digests = {
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (*texts, *read.styles)
    }
    assert digests <= permitted
    assert len(permitted - digests) == 1  # the style sheet that d3-flame-graph adds
    assert policy[1].startswith("default-src &#x27;none&#x27;;")
    assert "unsafe" not in policy[1]


def test_the_data_are_json(hostile_page: str) -> None:
    tables = Reader(hostile_page).data["tables"]
    assert any(HOSTILE[1] in row for table in tables for row in table["rows"])


def test_a_page_without_charts_has_no_libraries() -> None:
    document = recorded_document()
    document["run"] = {
        name: document["run"][name] for name in ("run_id", "plan", "host", "plan_sha256", "kernel")
    } | {"outcome": "skipped", "exit_code": 0, "reason": "not in the shard of 5 %"}
    document["metrics"] = []
    check_document(document)
    page = make_run_page(source_of(document))
    assert "not in the shard of 5 %" in page
    assert len(page) < 60_000


def test_records_that_do_not_fit_are_counted() -> None:
    record = {"event": "event.recorded", "probe": "read", "data": {"path": '"' * 4000}}
    source = source_of(recorded_document(), digest_log(log_lines([record] * 200), RUN_ID))
    page = make_run_page(source)
    drawn = page.count("<span>&quot;")
    assert f"The first {drawn:,}; {200 - drawn:,} more are in the log." in page
    assert len(page.encode()) < 3_000_000


def test_rows_that_do_not_fit_are_counted() -> None:
    document = recorded_document()
    names = (f"{number:0200}" for number in range(20_000))
    document["metrics"] = [make_metric("calls", [cell(1, comm=name) for name in names])]
    page = make_run_page(source_of(document))
    shown = len(Reader(page).data["tables"][0]["rows"])
    assert f"{20_000 - shown:,} more rows are not on this page" in page
    assert len(page.encode()) < 3_000_000


def test_a_single_value_has_no_chart() -> None:
    document = recorded_document()
    document["metrics"] = [make_metric("calls", [cell(7)])]
    assert 'data-chart="bars"' not in make_run_page(source_of(document))


def test_notes_have_their_accounts_and_a_warning_where_one_was_full() -> None:
    document = recorded_document()
    counts = dict.fromkeys(NOTE.counts, 0)
    document["run"]["ledger"]["notes"] = {
        "call": {**counts, "set": 1240, "dropped": 1238, "kept": 2, "found": 12, "missed": 4},
        "owner": {**counts, "set": 7, "kept": 7, "full": 2, "missed": 9},
    }
    page = make_run_page(source_of(document))
    assert "Notes: state kept at one event and read at others" in page
    assert '<th scope="row">call</th><td class="number"><span>1,240</span></td>' in page
    assert '<p class="note">call: 4 of 16 looks found nothing' in page
    assert '<p class="warning">owner: all 9 looks found nothing' in page
    assert "not kept: no room for the key" in page
    assert "Notes:" not in make_run_page(source_of(recorded_document()))


def test_a_rate_that_was_reached_has_its_period_in_words() -> None:
    document = recorded_document()
    document["limits"] = [
        {
            "limit": "rate", "probe": None, "value": 1000, "per_ns": 1_000_000_000,
            "enforced_by": "kernel", "action": "drop",
        }
    ]  # fmt: skip
    check_document(document)
    page = make_run_page(source_of(document))
    assert "limits.rate (1,000 records per second) was reached" in page


def test_a_limit_that_held_records_back_is_said_once() -> None:
    document = recorded_document()
    rate = {
        "limit": "rate", "probe": None, "value": 1000, "per_ns": 1_000_000_000,
        "enforced_by": "kernel", "action": "drop",
    }  # fmt: skip
    document["limits"] = [rate, {**rate, "probe": "read", "value": 5}]
    held = {"limit": "rate", "probe": None, "bound": "1k/s", "records": 7}
    document["run"]["held_back"] = [held]
    page = make_run_page(source_of(document))
    assert "7 records were held back by limits.rate (1,000 records per second)" in page
    assert "limits.rate (1,000 records per second) was reached" not in page
    assert "limits.rate (5 records per second) of read was reached" in page


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_recorded_results_are_shown(backend: str) -> None:
    document = recorded_document(backend)
    check_document(document)
    page = make_run_page(source_of(document, plan="probes: {}\n"))
    for words in ("Complete", "fleet-reads on host00001", "read.latency (histogram)", "probes: {}"):
        assert words in page
