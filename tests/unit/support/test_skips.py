"""tests/support/skips.py: what may be skipped in a run that must not skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.kernel.facts import live_facts
from tests.support.paths import ROOT
from tests.support.skips import TABLE_EXCEPTIONS, VARIABLE, refusal

PLUGIN = "tests.support.skips"
SUITE = """
import pytest

@pytest.mark.skipif(True, reason="needs a friday")
def test_marked(): pass

def test_called():
    pytest.skip("needs a friday")

@pytest.fixture
def friday():
    pytest.skip("needs a friday")

def test_by_fixture(friday): pass

def test_runs(): pass

@pytest.mark.xfail
def test_expected(): assert False
"""


def outcome(folder: Path, text: str, value: str) -> tuple[int, str]:
    """The exit status of pytest over one module, and its closing line."""
    (folder / "test_it.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.support.skips",
        "--rootdir",
        folder,
    ]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", folder / "test_it.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, VARIABLE: value},
    )
    return done.returncode, done.stdout.strip().splitlines()[-1].rpartition(" in ")[0]


@pytest.mark.slow
def test_skips_are_failures_where_told(tmp_path: Path) -> None:
    """By marker and fixture (errors of the set-up), or call; an expected failure stays one."""
    assert outcome(tmp_path, SUITE, "1") == (1, "1 failed, 1 passed, 1 xfailed, 2 errors")
    assert outcome(tmp_path, SUITE, "") == (0, "1 passed, 3 skipped, 1 xfailed")


@pytest.mark.slow
def test_a_module_that_skips_itself_is_an_error_where_told(tmp_path: Path) -> None:
    text = "import pytest\npytest.skip('needs a friday', allow_module_level=True)\n"
    assert outcome(tmp_path, text, "1")[0] != 0
    assert outcome(tmp_path, text, "")[1] == "1 skipped"


@pytest.mark.parametrize(
    ("reason", "lane"),
    [
        ("kernel 5.10.0-46-amd64 lacks hist_triggers", "5.10"),
        ("kernel 5.10.0-46-amd64 lacks hist_triggers, btf_args", "5.10"),
        ("kernel 6.1.0-50-amd64 lacks fprobe_events: no f: in its README", "6.1"),
    ],
)
def test_what_a_kernel_lacks_may_be_skipped(reason: str, lane: str) -> None:
    assert refusal(reason, lane) is None


@pytest.mark.parametrize(
    ("reason", "lane", "why"),
    [
        ("needs strace", None, "names no missing feature"),
        ("kernel 6.1.0-50-amd64 lacks hist_triggers", "6.1", "6.1 has hist_triggers: yes"),
        ("kernel 5.10.0-46-amd64 lacks hist_triggers, btf", "5.10", "5.10 has btf: yes"),
        ("kernel 5.10.0-46-amd64 lacks patience", "5.10", "patience is no feature"),
        ("this kernel lacks bcc", None, "bcc is no feature"),
        ("this kernel lacks cap_bpf", None, "cap_bpf is no feature"),
    ],
)
def test_nothing_else_may_be_skipped(reason: str, lane: str | None, why: str) -> None:
    assert why in (refusal(reason, lane) or "")


def test_this_kernel_is_asked_live() -> None:
    """Each feature may be skipped where it is missing, and only there."""
    facts = live_facts()
    for name in facts.features:
        if not name.startswith(TABLE_EXCEPTIONS):
            missing = facts.feature(name).state == "no"
            assert (refusal(f"this kernel lacks {name}", None) is None) == missing
