"""The workload, and the kernel as it was before."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tracefs_runs import TRACING, build, leftovers


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The workload's path; its name is this test run's alone."""
    return str(build(tmp_path_factory.mktemp("load"), f"pl{os.getpid()}"))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """The test must leave no instance and no definition behind."""
    yield
    assert leftovers() == set()


@pytest.fixture
def tracing() -> Path:
    """Where tracefs is mounted; tests that write there need it and root."""
    if not (TRACING / "instances").is_dir():
        pytest.skip("this kernel lacks tracefs_instances")
    return TRACING
