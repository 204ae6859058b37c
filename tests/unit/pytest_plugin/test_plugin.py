"""What the plugin does without a kernel: loading, marks, and hosts that cannot measure."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.plugin_sessions import PLUGIN, isolate_session

#: A helper that refuses what this host could or could not do, so that no probe is attached.
REFUSING = """
from orchestrator.pytest_plugin.helper_client import HelperClient, Refused

def refuse(self):
    raise Refused("host", "no rights, by the test")

HelperClient.admit = refuse
"""
MARKED = """
import pytest

@pytest.mark.probeplan("fsync", "sync.calls == 0")
def test_mark():
    raise AssertionError

def test_block(probeplan):
    raise AssertionError
"""


@pytest.fixture(autouse=True)
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate_session(pytester, monkeypatch)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(*PLUGIN, *options)


def test_loading_the_plugin_loads_no_other_module_of_ours() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import orchestrator.pytest_plugin.plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    ours = ["orchestrator", "orchestrator.pytest_plugin", "orchestrator.pytest_plugin.plugin"]
    assert found.stdout.split() == ours


def test_a_session_that_measures_nothing_loads_and_shows_nothing(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        "import sys\ndef test_it():\n"
        "    assert 'orchestrator.pytest_plugin.session' not in sys.modules"
    )
    result = run(pytester)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*probeplan*")


def test_a_host_that_cannot_measure_skips_with_the_reason(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(REFUSING)
    pytester.makepyfile(MARKED)
    result = run(pytester, "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines("SKIPPED*no rights, by the test*")


def test_what_is_required_fails_there(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(REFUSING)
    pytester.makepyfile(MARKED)
    result = run(pytester, "--probeplan-require")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines("*no rights, by the test*")


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("", "names no plan"),
        ('"fsync"', "expects nothing"),
        ('"fsync", 3', "expects something that is no text"),
        ('"fsync", "sync.calls == 0", sets={}', "has sets"),
        ('"fsync", "sync.calls == 0", set=[1]', "`set` is [[]1[]]"),
    ],
)
def test_a_mark_of_another_form_is_an_error_with_its_place(
    pytester: pytest.Pytester, mark: str, message: str
) -> None:
    pytester.makepyfile(
        test_it=f"import pytest\n\n@pytest.mark.probeplan({mark})\ndef test_it(): ..."
    )
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(f"*test_it.py:3: *{message}*")


def test_a_method_of_unittest_is_refused(pytester: pytest.Pytester) -> None:
    """Its setUp and tearDown would be measured with it."""
    pytester.makepyfile(
        "import unittest\nimport pytest\n\nclass Test(unittest.TestCase):\n"
        "    @pytest.mark.probeplan('fsync', 'sync.calls == 0')\n    def test_it(self): ..."
    )
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*measures test functions, and this is none*")
