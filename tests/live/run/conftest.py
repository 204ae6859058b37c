"""What these tests share: the workload, built once."""

from pathlib import Path

import pytest

from tests.support.product import build_load, build_tasks


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload load.c in its own folder: probes are in a file, so no other process's calls are
    seen."""
    return build_load(tmp_path_factory.mktemp("load"))


@pytest.fixture(scope="session")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload tasks.c."""
    return build_tasks(tmp_path_factory.mktemp("tasks"))
