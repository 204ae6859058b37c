"""A run of the fake backend for the tests of runs."""

from pathlib import Path

import pytest

from tests.support.fake_runs import Ran


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Has not run yet. Counters that do not balance never will."""
    monkeypatch.setattr("orchestrator.run.report.account._SETTLE_SECONDS", 0.02)
    return Ran(tmp_path)
