"""The Debian package, built once for all tests and all workers of pytest-xdist."""

import fcntl
import os
from pathlib import Path

import pytest

from tests.support.debian_roots import SUITES, build_package, find_package


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package file, with the other files of its build in the same folder."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers of this session
    folder = base / "debian-package"
    folder.mkdir(exist_ok=True)
    with (base / "debian-package.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find_package(folder) or build_package(folder)


@pytest.fixture(scope="module", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """The release of Debian."""
    return str(request.param)
