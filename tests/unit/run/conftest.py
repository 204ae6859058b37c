"""A run of the fake backend for the tests of runs."""

from pathlib import Path

import pytest

from tests.support.fake_runs import Ran


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    """Has not run yet."""
    return Ran(tmp_path)
