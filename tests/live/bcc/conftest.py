"""Workloads of these tests, under names that no other process on the host has."""

import os
from pathlib import Path

import pytest

from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS

WORKLOAD = WORKLOADS / "load.c"
CALLS = WORKLOADS / "calls.c"


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The common workload; its comm is its file's name."""
    return build(WORKLOAD, tmp_path_factory.mktemp("load") / f"pp{os.getpid()}")


@pytest.fixture(scope="session")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workload of system calls with chosen arguments (calls.c)."""
    return build(CALLS, tmp_path_factory.mktemp("calls") / f"pc{os.getpid()}")
