"""What these tests share: the workload, built once, under a name that no other process has."""

from pathlib import Path

import pytest

from tests.support.product import build_load


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/support/workload/load.c; its comm is its file's name."""
    return build_load(tmp_path_factory.mktemp("load"))


@pytest.fixture(params=["bcc", "tracefs"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn."""
    return str(request.param)
