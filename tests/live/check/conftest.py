"""What these tests share: a workload of known size, built once."""

from pathlib import Path

import pytest

from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS


@pytest.fixture(scope="session")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload steps.c."""
    folder = tmp_path_factory.mktemp("steps")
    folder.chmod(0o755)
    return compile_to(folder / "steps", WORKLOADS / "steps.c")
