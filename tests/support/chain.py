"""A workload of known call chains."""

import subprocess
from pathlib import Path

from tests.support.paths import WORKLOADS

#: Frames are found by their pointers, as the kernel finds them.
FLAGS = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")


def build_chain(folder: Path) -> Path:
    """tests/support/workload/chain.c, built in `folder`."""
    binary = folder / "chain"
    subprocess.run(["gcc", *FLAGS, "-o", binary, WORKLOADS / "chain.c"], check=True)
    return binary
