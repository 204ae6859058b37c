"""A run that is killed at any step, or whose attaching fails at any step, leaves nothing behind,
and no other process's probes are touched."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.runs import USER, Zygote, foreigners

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])
Make = Callable[[str, str], Zygote]
AT_ONCE = 2  # runs wait for the kernel's grace periods most of the time


def killed_everywhere(backend: str, zygote: Make, load: Path, *, watchdog: bool) -> None:
    """Several runs at the same time, each killed at its share of the steps."""
    all_runs = [zygote(backend, USER) for _ in range(AT_ONCE)]

    def share(part: int) -> int:
        return all_runs[part].killed_everywhere(watchdog=watchdog, part=part, parts=AT_ONCE)

    with foreigners(load), ThreadPoolExecutor() as threads:
        assert sum(threads.map(share, range(AT_ONCE))) > 15
    slowest = max(runs.slowest_s for runs in all_runs)
    print(f"{backend}: the slowest cleaning took {slowest * 1e3:.0f} ms")


@backends
def test_the_watchdog_cleans_up_after_a_kill_at_any_step(
    backend: str, zygote: Make, load: Path
) -> None:
    """Within a second no probe, definition, instance, journal or watchdog is left."""
    killed_everywhere(backend, zygote, load, watchdog=True)


@backends
def test_cleanup_cleans_up_when_the_watchdog_was_killed_too(
    backend: str, zygote: Make, load: Path
) -> None:
    killed_everywhere(backend, zygote, load, watchdog=False)


@backends
def test_an_attach_that_fails_at_any_step_is_undone_in_reverse(
    backend: str, zygote: Make, load: Path
) -> None:
    """The run itself leaves nothing, without watchdog or cleanup."""
    runs = zygote(backend, USER)
    with foreigners(load):
        fatal = runs.failed_everywhere()
    assert len(fatal) >= 12, fatal
    assert any("uprobe_events" in step for step in fatal), fatal
