"""The workload of these tests."""

import subprocess
from pathlib import Path

import pytest

#: Frames are found by their pointers, as the kernel finds them.
FLAGS = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/symbols/chain.c."""
    binary = tmp_path_factory.mktemp("chain") / "chain"
    source = Path(__file__).with_name("chain.c")
    subprocess.run(["gcc", *FLAGS, "-o", binary, source], check=True)
    return binary
