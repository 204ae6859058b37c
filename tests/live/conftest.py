"""What these tests share: the workload, built once."""

from pathlib import Path

import pytest

from tests.live.product import build_load


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/workload/load.c, in a folder of its own: probes stand in a file, so nobody else's
    calls are seen."""
    return build_load(tmp_path_factory.mktemp("load"))
