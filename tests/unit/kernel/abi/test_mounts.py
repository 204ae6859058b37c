"""tracefs is mounted where it is missing, tried in a mount namespace of the test's own."""

import subprocess
import sys

import pytest

from orchestrator.kernel.abi.mounts import ensure_tracefs
from orchestrator.kernel.facts import KernelFacts

SAY = "from orchestrator.kernel.abi.mounts import ensure_tracefs; print(*ensure_tracefs())"


def test_a_mounted_tracefs_is_left_alone(live: KernelFacts) -> None:
    if not live.feature("tracefs"):
        pytest.skip("this kernel lacks tracefs")
    path, outcome = ensure_tracefs()
    assert (str(path), outcome) == (f"/{live.tracing}", "was mounted")


def test_a_missing_tracefs_is_mounted() -> None:
    gone = "umount -l /sys/kernel/tracing; umount -l /sys/kernel/debug; exec "
    script = [*("unshare", "--mount", "--propagation", "private", "sh", "-c")]
    script.append(f'{gone} "$0" -c "{SAY}; {SAY}"')
    done = subprocess.run([*script, sys.executable], capture_output=True, text=True, check=False)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"mount namespaces are not to be had: {done.stderr}")
    assert done.stdout.split("\n")[:2] == [
        "/sys/kernel/tracing mounted",
        "/sys/kernel/tracing was mounted",
    ], done.stderr
