"""One boot for all tests of the units."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends import BACKENDS
from orchestrator.kernel.facts import load_facts
from orchestrator.lab import Kernel, run_in_guest
from orchestrator.plan.load import load_plan
from orchestrator.run.prepare import resolve
from tests.guest.systemd.plans import PLANS
from tests.support.paths import KERNELS, ROOT
from tests.support.product import build_load

TIMEOUT_S = 1200.0
Proved = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def proved(guest_kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Proved:
    """A function that gives what a case in the guest returned. It raises AssertionError with the
    traceback of one that failed there."""
    share = tmp_path_factory.mktemp("systemd")
    _prepare(guest_kernel, share)
    checkout, libraries = str(ROOT), sysconfig.get_path("purelib")
    start = str(ROOT / "tests/guest/systemd/start.sh")
    end = run_in_guest(
        guest_kernel,
        ["/bin/sh", start, checkout, libraries, os.path.realpath(sys.executable)],
        share=share,
        timeout_s=TIMEOUT_S,
        overlay=True,
        as_init=True,
    )
    assert end.returncode == 0, end.stderr
    lines = (share / "results.jsonl").read_text().splitlines()
    records = {record["id"]: record for record in map(json.loads, lines)}

    def give(name: str) -> dict[str, Any]:
        record = records[name]
        assert record["outcome"] == "returned", record.get("text")
        found: dict[str, Any] = record["value"]
        return found

    return give


def _prepare(kernel: Kernel, share: Path) -> None:
    """Compile here what the guest would take long for, and build the workload."""
    facts = load_facts(KERNELS / f"{kernel.name}.facts.xz")
    for text in PLANS.values():
        artifact = BACKENDS["bcc"].emit(resolve(load_plan(text.encode()), facts).program, facts)
        BACKENDS["bcc"].try_artifact(artifact)
    build_load(share).rename(share / "load")
    assert subprocess.run([share / "load", "getppid", "1"], check=False).returncode == 0
