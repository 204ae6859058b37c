"""Failed tests that pass alone: reported as FLAKY where `--report-flaky` is given, as CI does.

After the run each failed test runs once more, alone in a new process. If all pass, and they
are few, the run passes, and names each in a line `FLAKY nodeid`; the first failure's text stays in
the log. Without the option nothing runs twice, and a failure is a failure.
"""

import subprocess
import sys

import pytest

OPTION = "--report-flaky"
#: More than these are no accident of a busy machine.
MOST = 5
SECONDS_ALONE = 600


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION,
        action="store_true",
        help=f"run failed tests once more, alone; up to {MOST} that then pass are FLAKY",
    )


def pytest_configure(config: pytest.Config) -> None:
    """In the process that reports, not in the workers of pytest-xdist."""
    if config.getoption(OPTION) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FlakyReport(config), "flaky-report")


class FlakyReport:
    """What failed in this session, and how it fared alone."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.failed: dict[str, None] = {}  # in the order in which they failed
        self.lines: list[str] = []
        self.outputs: list[str] = []  # of second failures
        self.is_whole = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.is_whole = self.is_whole and not report.failed

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Turns a failure into success where every failed test passes alone."""
        if exitstatus != pytest.ExitCode.TESTS_FAILED or not self.is_whole or not self.failed:
            return
        if len(self.failed) > MOST:
            self.lines = [f"{len(self.failed)} tests failed: too many to be tried alone"]
            return
        passed = {name: self._passes_alone(name) for name in self.failed}
        self.lines = [f"{'FLAKY' if alone else 'FAILED TWICE'} {n}" for n, alone in passed.items()]
        if all(passed.values()):
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.lines:
            terminalreporter.section("failed tests, run once more alone")
            for line in (*self.outputs, *self.lines):
                terminalreporter.line(line)

    def _passes_alone(self, nodeid: str) -> bool:
        command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={self.config.rootpath}"]
        try:
            done = subprocess.run(
                [*command, nodeid],
                cwd=self.config.rootpath,
                timeout=SECONDS_ALONE,
                stdout=subprocess.PIPE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            self.outputs += [f"{nodeid} took longer than {error.timeout} s alone"]
            return False
        passes = done.returncode == pytest.ExitCode.OK
        self.outputs += [] if passes else done.stdout.decode(errors="replace").splitlines()
        return passes
