"""The hooks of the pytest plugin. Nothing else is imported until a test needs it: pytest loads this
module wherever probeplan is installed."""

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from orchestrator.pytest_plugin.seen import SeenBlock
    from orchestrator.pytest_plugin.session import ProbeSession

__all__ = ["BlockOpener"]

_MARK = "probeplan"
_HELP = (
    "probeplan(plan, *expectations, set=None, witness=None): measure the test by the probes of a "
    'plan, and hold it to expectations, e.g. @pytest.mark.probeplan("fsync", "sync.calls == 0")'
)
_SESSION: "pytest.StashKey[ProbeSession]" = pytest.StashKey()

#: What the fixture `probeplan` is: opens a block.
BlockOpener = Callable[..., "SeenBlock"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the plugin."""
    parser.getgroup("probeplan").addoption(
        "--probeplan-require",
        action="store_true",
        help="fail tests that need probes where these cannot be attached, instead of skipping them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", _HELP)


def _session_of(config: pytest.Config) -> "ProbeSession":
    """What this process measures, made when it is needed."""
    if _SESSION not in config.stash:
        from orchestrator.pytest_plugin.session import ProbeSession

        config.stash[_SESSION] = ProbeSession(require=config.getoption("--probeplan-require"))
    return config.stash[_SESSION]


@pytest.fixture
def probeplan(request: pytest.FixtureRequest) -> BlockOpener:
    """Counts what happens in a block: `with probeplan("fsync") as seen: …`, then
    `seen.sync.calls`."""
    opener: BlockOpener = _session_of(request.config).make_opener()
    return opener


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Attach what the test's marks name, before its fixtures: their children are followed, too."""
    if item.get_closest_marker(_MARK) is not None:
        _session_of(item.config).prepare(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Count while the test's function runs; the innermost wrapper, so that other plugins' work
    around the function is not counted."""
    if pyfuncitem.get_closest_marker(_MARK) is None:
        return (yield)
    test = _session_of(pyfuncitem.config).test_of(pyfuncitem)
    test.begin()
    try:
        result = yield
    finally:
        blocks = test.end()
    test.judge(blocks)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that was not measured does not pass."""
    result = yield
    if item.get_closest_marker(_MARK) is not None:
        _session_of(item.config).require_measured(item)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what was measured into the report, which may go to another process. What is inconclusive
    was not expected to fail, either."""
    report = yield
    session = item.config.stash.get(_SESSION, None)
    if session is not None and call.when == "call":
        vars(report)[_MARK] = found = session.describe_test(item, call)
        if found["inconclusive"]:  # whatever `xfail` made of it
            report.outcome = "failed"
            vars(report).pop("wasxfail", None)
    return report


def pytest_report_teststatus(report: Any) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """What is inconclusive is an error, not a failure."""
    found: Mapping[str, Any] = getattr(report, _MARK, None) or {}
    if report.failed and found.get("inconclusive"):
        return "error", "E", ("INCONCLUSIVE", {"red": True})
    return None


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Detach everything."""
    result = yield
    measured = session.config.stash.get(_SESSION, None)
    if measured is not None:
        measured.close()
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show what was measured."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    results = [found["results"] for report in reports if (found := _measured_by(report))]
    troubles = config.stash[_SESSION].troubles if _SESSION in config.stash else []
    if not any(results) and not troubles:
        return
    from orchestrator.plan.printable import make_printable_lines
    from orchestrator.pytest_plugin.summary import SummaryTable

    table = SummaryTable()
    for result in results:
        table.add(result)
    terminalreporter.section("probeplan")
    for line in (*table.lines(), *troubles):
        terminalreporter.write_line(make_printable_lines(line))


def _measured_by(report: object) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = getattr(report, _MARK, None)
    return found
