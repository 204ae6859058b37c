"""What these tests share: the workload, built once, under a name that no other process has."""

import os
from pathlib import Path

import pytest

from tests.support.bcc_runs import build
from tests.support.paths import WORKLOADS
from tests.support.product import build_load


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/support/workload/load.c; its comm is its file's name."""
    return build_load(tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/support/workload/frames.c, likewise."""
    return build(WORKLOADS / "frames.c", tmp_path_factory.mktemp("frames") / f"pf{os.getpid()}")


@pytest.fixture(params=["bcc", "tracefs"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn."""
    return str(request.param)
