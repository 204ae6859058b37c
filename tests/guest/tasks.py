"""Runs in a guest with the workload `tasks`: tasks that exec, take names, set the clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.guest import product
from tests.support.product import build_tasks

NAME = "tasks"


def prepare(kernel: Any, share: Path, *, plan: str, backend: str, **more: Any) -> dict[str, Any]:
    """On the host: warm the cache for `plan`, and put the workload into the share."""
    product.compiled(kernel, share, plan=plan, backend=backend, **more)
    build_tasks(share, NAME)
    return {}


def run(*, plan: str, backend: str, argv: Sequence[str], lacks: Sequence[str] = ()) -> Any:
    """In the guest: as product.run, with `tasks argv…` as the run's command."""
    return product.run(plan=plan, backend=backend, argv=argv, load=NAME, lacks=lacks)


def run_and_reset_clock(*, plan: str, backend: str, argv: Sequence[str]) -> Any:
    """As `run`, and afterwards the clock is what it was; with the time by it at the run's end."""
    import time

    offset = time.time_ns() - time.monotonic_ns()
    try:
        ended = run(plan=plan, backend=backend, argv=argv)
        return {**ended, "now": time.time_ns()}
    finally:
        time.clock_settime_ns(time.CLOCK_REALTIME, offset + time.monotonic_ns())
