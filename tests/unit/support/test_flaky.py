"""tests/support/flaky.py: what CI makes of tests that fail once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.flaky import MOST, OPTION
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

FLAKY = """
from pathlib import Path

def test_second_try():
    before = Path(__file__).with_name("before")
    if not before.exists():
        before.touch()
        assert False, "the first failure's text"
"""
BROKEN = "def test_never(): assert False\n"
SOUND = "def test_always(): pass\n"
MANY = f"""
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range({MOST + 1}))
def test_second_try(number):
    before = Path(__file__).with_name(f"before{{number}}")
    there = before.exists()
    before.touch()
    assert there
"""


def run(folder: Path, *texts: str, options: tuple[str, ...] = (OPTION,)) -> tuple[int, list[str]]:
    """The exit status of pytest over these modules, and its lines."""
    for number, text in enumerate(texts):
        (folder / f"test_{number}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.flaky", *options]
    done = subprocess.run(
        [*command, "--rootdir", folder, "-p", "no:cacheprovider", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


def test_a_test_that_passes_alone_is_reported_and_passes(tmp_path: Path) -> None:
    """With the text of its failure in the log, and pytest's closing line as the last."""
    status, lines = run(tmp_path, SOUND, FLAKY)
    assert status == 0
    assert "FLAKY test_1.py::test_second_try" in lines
    assert any("the first failure's text" in line for line in lines)
    assert "1 failed, 1 passed in" in lines[-1]


def test_a_test_that_always_fails_fails(tmp_path: Path) -> None:
    """And takes those that passed alone along: they are named all the same."""
    status, lines = run(tmp_path, FLAKY, BROKEN)
    assert status == 1
    assert "FAILED TWICE test_1.py::test_never" in lines
    assert "FLAKY test_0.py::test_second_try" in lines


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    status, lines = run(tmp_path, MANY)
    assert status == 1
    assert f"{MOST + 1} tests failed: too many to be tried alone" in lines


def test_a_module_that_cannot_be_imported_is_never_flaky(tmp_path: Path) -> None:
    status, _ = run(tmp_path, FLAKY, "import no_such_module\n")
    assert status not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)


def test_nothing_runs_twice_without_the_option(tmp_path: Path) -> None:
    """By hand a failure is a failure."""
    status, lines = run(tmp_path, FLAKY, options=())
    assert status == 1
    assert not any("FLAKY" in line for line in lines)


def test_failures_in_workers_are_seen(tmp_path: Path) -> None:
    status, lines = run(tmp_path, FLAKY, options=(OPTION, "-n", "2"))
    assert status == 0
    assert "FLAKY test_0.py::test_second_try" in lines
