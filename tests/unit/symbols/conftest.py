"""A workload of known call chains."""

from pathlib import Path

import pytest

from tests.support.chain import build_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/support/workload/chain.c."""
    return build_chain(tmp_path_factory.mktemp("chain"))
