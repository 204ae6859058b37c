"""What tests need of this machine, in one place.

`@pytest.mark.root`: the rights of root. Everything under tests/live and tests/faults has it, since
it attaches probes to the kernel that runs; other tests are marked one by one. Cases in booted
kernels need no root.
`@pytest.mark.features(*names)`: features of this kernel, by their names in features.TABLE.
"""

import contextlib
import os
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import TESTS

if TYPE_CHECKING:
    from orchestrator.kernel.facts import KernelFacts

ROOT_LANES = (TESTS / "live", TESTS / "faults")
#: For runs of both backends with probes of tracepoints, system calls and user functions.
needs_a_kernel = pytest.mark.features(
    "tracefs_instances", "uprobe_events", "syscall_tracepoints", "bpf", "ringbuf", "bcc"
)


def pytest_sessionstart() -> None:
    """Mounts tracefs where it is missing, as each run of probeplan does: what this kernel offers
    is asked while tests are collected. Where it cannot be mounted, tests say what is missing."""
    from orchestrator.kernel.abi.mounts import MountError, ensure_tracefs

    if os.geteuid() == 0:
        with contextlib.suppress(MountError):
            ensure_tracefs()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the lanes, before `-m` selects."""
    for item in items:
        in_a_lane = any(lane in item.path.parents for lane in ROOT_LANES)
        if in_a_lane and "guest_kernel" not in getattr(item, "fixturenames", ()):
            item.add_marker("root")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test whose needs are not met, with what is missing."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")
    wanted = [name for mark in item.iter_markers("features") for name in mark.args]
    if lacking := [name for name in wanted if not _facts().feature(name)]:
        pytest.skip(f"this kernel lacks {', '.join(lacking)}")


@cache
def _facts() -> "KernelFacts":
    from orchestrator.kernel.facts import live_facts

    return live_facts()
