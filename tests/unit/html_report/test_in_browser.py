"""Pages in a real browser: Debian's headless Chromium."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.html_report.comparison_page import make_comparison_page
from orchestrator.html_report.log_digest import digest_log
from orchestrator.html_report.run_page import make_run_page
from tests.support.browser import Browser, open_browser
from tests.support.report_runs import (
    HOSTILE,
    RUN_ID,
    cell,
    hostile_source,
    log_lines,
    make_metric,
    recorded_document,
    source_of,
    windows_of,
)

pytestmark = pytest.mark.slow

RED = "\\x1b[31mred\\x1b[0m"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pages") / "hostile.html"
    file.write_text(make_run_page(hostile_source()))
    return file


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(window: Browser, page: Path) -> Browser:
    window.choose_colours("light")
    window.open(page)
    window.messages()
    return window


def texts(browser: Browser, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
    found: list[str] = browser.run(script, selector)
    return found


def shown_rows(browser: Browser, caption: str) -> list[str]:
    """The first column of the table with this caption."""
    script = """
        const table = [...document.querySelectorAll("table")].find(
          (one) => one.caption.textContent === arguments[0]);
        return [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
    """
    rows: list[str] = browser.run(script, caption)
    return rows


def test_hostile_names_are_inert(browser: Browser) -> None:
    browser.draw_all()
    assert browser.run("return window.pwned") is None
    assert browser.run("return document.querySelectorAll('img, svg [onload], iframe').length") == 0
    assert browser.run("return document.querySelectorAll('script:not([id])').length") == 4
    assert RED in shown_rows(browser, "read.names: all keys")
    assert HOSTILE[0] in shown_rows(browser, "read.names: all keys")


def test_every_chart_is_drawn_without_a_complaint(browser: Browser) -> None:
    browser.draw_all()
    forms = browser.run(
        "return [...new Set([...document.querySelectorAll('figure.chart')]"
        ".map((figure) => figure.dataset.chart))].sort()"
    )
    assert forms == ["bars", "flame", "flow", "heat", "histogram", "percentiles"]
    assert browser.messages() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


def test_charts_are_not_drawn_before_they_are_seen(browser: Browser) -> None:
    assert browser.run("return document.querySelectorAll('.numbers table').length") < 3


def test_a_heading_sorts_the_table(browser: Browser) -> None:
    caption = "read.names: all keys"
    before = shown_rows(browser, caption)
    button = browser.driver.find_element("xpath", f"//table[caption='{caption}']//th[2]/button")
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    button.click()
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    assert shown_rows(browser, caption) == before[::-1]


def test_a_search_in_the_flame_graph_says_how_much_matches(browser: Browser) -> None:
    browser.draw_all()
    search = browser.driver.find_element("css selector", ".flame input[type=search]")
    search.send_keys("gnp")
    browser.wait_until("return document.querySelector('.flame output').textContent.includes('%')")
    assert texts(browser, ".flame output")[0].startswith("5 of 40")


def test_a_frame_is_zoomed_into_by_the_keyboard(browser: Browser) -> None:
    browser.draw_all()
    focusable = "return document.querySelectorAll('.flame g.frame[tabindex=\"0\"]').length"
    browser.wait_until(f"{focusable} > 1")
    before = browser.run(focusable)
    browser.run(
        "const frame = [...document.querySelectorAll('.flame g.frame[tabindex=\"0\"]')].at(-1);"
        "frame.focus();"
        "frame.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"
    )
    browser.wait_until(f"{focusable} < {before}")


def test_the_numbers_of_a_chart_are_a_table_too(browser: Browser) -> None:
    browser.draw_all()
    labels = ask_each(browser, "figure.chart:not(.flame) .canvas", "getAttribute('aria-label')")
    assert min(len(label) for label in labels) > 20
    rows = ask_each(browser, ".numbers", "querySelectorAll('tbody tr').length")
    assert min(rows) > 0


def ask_each(browser: Browser, selector: str, asked: str) -> list[Any]:
    """What `element.ASKED` is for each element that the selector finds."""
    script = (
        f"return [...document.querySelectorAll(arguments[0])].map((element) => element.{asked})"
    )
    answers: list[Any] = browser.run(script, selector)
    return answers


def test_it_has_landmarks_headings_and_names(browser: Browser) -> None:
    for selector in ("html[lang=en]", "header h1", "nav[aria-label]", "main#main", "footer"):
        assert len(browser.driver.find_elements("css selector", selector)) == 1
    identities = ask_each(browser, "[id]", "id")
    assert len(set(identities)) == len(identities)
    assert set(ask_each(browser, "section", "getAttribute('aria-labelledby')")) <= set(identities)
    targets = ask_each(browser, "nav a, .skip", "getAttribute('href')")
    assert {target.removeprefix("#") for target in targets} <= set(identities)
    assert all(ask_each(browser, "table", "caption?.textContent"))


CONTRAST = """
  const rgb = (text) => text.match(/[0-9.]+/g).map((part) => Number(part) / 255);
  const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = (text) => {
    const [r, g, b] = rgb(text).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const found = getComputedStyle(at).backgroundColor;
      if (!found.endsWith(", 0)")) return found;
    }
    return "rgb(255, 255, 255)";
  };
  return Math.min(...[...document.querySelectorAll(arguments[0])].map((one) => {
    const colours = [getComputedStyle(one).color, page(one)];
    const [a, b] = colours.map(light).sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
"""
TEXTS = "h1, h2, h3, p, td, th, dt, dd, a, li, button, strong, summary, input, select, .lost"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Browser, scheme: str, tmp_path: Path) -> None:
    browser.choose_colours(scheme)
    browser.draw_all()
    assert browser.run(CONTRAST, TEXTS) >= 4.5
    browser.capture(tmp_path / f"{scheme}.png", height=4000)
    assert (tmp_path / f"{scheme}.png").stat().st_size > 20_000


def test_it_prints_with_all_charts(browser: Browser, tmp_path: Path) -> None:
    browser.print_page(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert all(ask_each(browser, "figure.chart .numbers", "childElementCount"))


def test_a_flame_graph_of_two_runs_says_what_grew_and_what_is_gone(
    window: Browser, tmp_path: Path
) -> None:
    before, after = recorded_document(), recorded_document()
    old = [cell(40, kstack=["b", "a"]), cell(2, kstack=["gone", "a"]), cell(5, kstack=["same"])]
    new = [cell(90, kstack=["b", "a"]), cell(4, kstack=["new"]), cell(5, kstack=["same"])]
    before["metrics"] = [make_metric("ways", old)]
    after["metrics"] = [make_metric("ways", new)]
    file = tmp_path / "compared.html"
    file.write_text(make_comparison_page([source_of(before), source_of(after)]))
    window.open(file)
    window.messages()
    window.draw_all()
    caption = "read.ways: call paths of A and B, as a flame graph"
    assert caption in texts(window, "figcaption")
    row = texts(window, ".flame .numbers tbody tr:first-child td")
    assert row == ["a_[k] → b_[k]", "40", "90", "B / A 2.25"]
    labels = texts(window, ".flame g.frame title")
    assert {"new_[k]: A 0, B 4, new", "gone_[k]: A 2, B 0, gone"} <= set(labels)
    fills = window.run(
        "return Object.fromEntries([...document.querySelectorAll('.flame g.frame')].map((frame) =>"
        " [d3.select(frame).datum().data.n, frame.querySelector('rect').getAttribute('fill')]))"
    )
    assert fills["new_[k]"] == "rgb(240, 150, 40)"
    assert fills["gone_[k]"] == "rgb(86, 180, 233)"
    assert fills["same_[k]"] == "rgb(226, 226, 222)"
    assert window.messages() == []


@pytest.fixture
def compared(window: Browser, tmp_path: Path) -> Browser:
    """Two hostile runs next to each other."""
    file = tmp_path / "compared.html"
    file.write_text(make_comparison_page([hostile_source(), hostile_source()]))
    window.choose_colours("light")
    window.open(file)
    window.messages()
    return window


def test_hostile_names_are_inert_where_runs_are_compared(compared: Browser) -> None:
    compared.draw_all()
    assert compared.run("return window.pwned") is None
    assert compared.run("return document.querySelectorAll('img, svg [onload], iframe').length") == 0
    assert compared.messages() == []
    assert compared.run("return performance.getEntriesByType('resource').length") == 0
    tasks = texts(compared, "#records td:nth-child(2)")
    assert {f"{HOSTILE[0]} (1)", f"{RED} (1)"} <= set(tasks)


def test_windows_of_compared_runs_have_their_numbers_as_a_table(compared: Browser) -> None:
    compared.draw_all()
    caption = "read.names: over time, by window, in each run"
    assert caption in texts(compared, "figcaption")
    [label] = texts_of_attribute(compared, ".heat .canvas", "aria-label")
    assert label == f"{caption}: 8 rows, 5 windows; A at most 9, B at most 9"
    assert texts(compared, ".heat .numbers thead th") == ["window begins", "run", "row", "value"]
    rows = texts(compared, ".heat .numbers tbody tr")
    assert len(rows) == 2 * 5 * len(HOSTILE)
    assert {f"0 sA{HOSTILE[0]}9", f"+4 sB{HOSTILE[0]}9"} <= set(rows)
    series = compared.run(
        "return echarts.getInstanceByDom(document.querySelector('.heat .canvas')).getOption()"
        ".series.map((one) => one.data.length)"
    )
    assert series == [40, 40]


def test_lines_of_compared_runs_differ_by_more_than_colour(window: Browser, tmp_path: Path) -> None:
    document = recorded_document()
    document["run"]["armed_at"] = "2026-11-27T14:30:00.000000000Z"
    document["metrics"] = [make_metric("calls", [cell(7)])]
    log = digest_log(log_lines(windows_of(document["metrics"][0], 3)), RUN_ID)
    file = tmp_path / "lines.html"
    file.write_text(make_comparison_page([source_of(document, log), source_of(document, log)]))
    window.open(file)
    window.messages()
    window.draw_all()
    chosen = "return echarts.getInstanceByDom(document.querySelector('.line .canvas')).getOption()"
    styles = window.run(f"{chosen}.series.map((one) => [one.name, one.lineStyle.type])")
    assert styles == [["A", "solid"], ["B", "dashed"]]
    rows = texts(window, ".line .numbers tbody tr")
    assert rows == ["0 s77", "+1 s77", "+2 s77"]
    assert window.messages() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_compared_runs_has_contrast(compared: Browser, scheme: str) -> None:
    compared.choose_colours(scheme)
    compared.draw_all()
    assert compared.run(CONTRAST, f"{TEXTS}, .failure, .warning, .unknown") >= 4.5


def test_compared_runs_print_with_all_charts(compared: Browser, tmp_path: Path) -> None:
    compared.print_page(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert all(ask_each(compared, "figure.chart .numbers", "childElementCount"))


def texts_of_attribute(browser: Browser, selector: str, name: str) -> list[str]:
    return ask_each(browser, selector, f"getAttribute('{name}')")
