"""The state of unattended runs, whose writers are killed at each of their steps: no quarantine is
lost or invented, no marker is lost, and what is whole stays whole."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.run.unattended.boot_marker import (
    list_damaged_markers,
    place_marker,
    take_stale_markers,
)
from orchestrator.run.unattended.quarantine import QUARANTINE_NS, Quarantine, QuarantineEntry
from orchestrator.run.unattended.result_pruning import Keep, prune_results
from orchestrator.run.unattended.result_store import ResultStore
from tests.support.folders import names_in
from tests.support.killed_steps import kill_at_each_step

NOW = time.time_ns()
DIGEST, OLD = "ab" * 32, "ef" * 32
BOOT, NEXT = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def make_entry(digest: str = DIGEST, since_ns: int = NOW) -> QuarantineEntry:
    return QuarantineEntry(
        plan_digest=digest,
        plan_name="slow-io",
        cause="governor",
        detail="limits.cpu ended it",
        since_ns=since_ns,
        until_ns=since_ns + QUARANTINE_NS,
        boot_id=BOOT,
        run_id="6568aa00112233",
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "lib"


def forget(state: Path) -> None:
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def quarantine(state: Path) -> Quarantine:
    """On a host that is started again before each look, so that only the wall clock counts."""
    return Quarantine(state / "quarantine", lambda: (os.urandom(4).hex(), 0))


def test_a_first_entry_is_there_whole_or_not_at_all(state: Path, quarantine: Quarantine) -> None:
    steps = 0
    for _ in kill_at_each_step(lambda: quarantine.add(make_entry()), lambda: forget(state)):
        assert quarantine.find(DIGEST, NOW) in (None, make_entry())
        steps += 1
    assert steps >= 4  # two directories, a file, its name
    assert quarantine.find(DIGEST, NOW) == make_entry()


def test_an_entry_that_is_there_holds_while_it_is_extended(
    state: Path, quarantine: Quarantine
) -> None:

    def prepare() -> None:
        forget(state)
        quarantine.add(make_entry(OLD, NOW - 2 * QUARANTINE_NS))  # is over, and goes
        quarantine.add(replace(make_entry(), since_ns=0))

    later = replace(make_entry(since_ns=NOW + 10**9), cause="canary")
    first = replace(make_entry(), since_ns=0)
    extended = replace(first, until_ns=later.until_ns)
    steps = 0
    for _ in kill_at_each_step(lambda: quarantine.add(later), prepare):
        assert quarantine.find(DIGEST, NOW) in (first, extended)
        steps += 1
    assert steps >= 3
    assert quarantine.find(DIGEST, NOW) == extended
    assert quarantine.find(OLD, NOW) is None


def test_a_run_that_is_killed_with_its_marker_harms_no_plan(state: Path) -> None:
    """In this boot the marker of a dead run means nothing, and goes."""

    def begin() -> None:
        place_marker(
            state / "running", plan_digest=DIGEST, plan_name="p", run_id="r", boot_id=BOOT
        ).remove()

    steps = 0
    for _ in kill_at_each_step(begin, lambda: forget(state)):
        assert take_stale_markers(state / "running", BOOT) == ()
        assert list_damaged_markers(state / "running") == ()
        if (state / "running").exists():
            assert [name for name in names_in(state / "running") if name[0] != "."] == []
        steps += 1
    assert steps >= 5


def test_a_host_that_goes_down_leaves_a_marker_from_its_placing_to_its_removal(
    state: Path,
) -> None:
    """Seen from the next boot: it is there once `place_marker` has returned."""
    placed = state / "placed"

    def run() -> None:
        marker = place_marker(
            state / "running", plan_digest=DIGEST, plan_name="p", run_id="r", boot_id=BOOT
        )
        placed.touch()
        placed.unlink()
        marker.remove()

    seen = 0
    for _ in kill_at_each_step(run, lambda: forget(state)):
        stale = take_stale_markers(state / "running", NEXT)
        if placed.exists():
            assert [marker.plan_digest for marker in stale] == [DIGEST]
            seen += 1
    assert seen == 1


def test_a_stale_marker_is_there_until_its_plan_is_in_quarantine(
    state: Path, quarantine: Quarantine
) -> None:

    def prepare() -> None:
        forget(state)
        marker = place_marker(
            state / "running", plan_digest=DIGEST, plan_name="slow-io", run_id="r", boot_id=BOOT
        )
        assert marker.lock is not None
        marker.lock.close()

    def take() -> None:
        for stale in take_stale_markers(state / "running", NEXT):
            quarantine.add(make_entry(stale.plan_digest))
            stale.remove()

    steps = 0
    for _ in kill_at_each_step(take, prepare):
        held = quarantine.find(DIGEST, NOW) is not None
        assert held or len(take_stale_markers(state / "running", NEXT)) == 1
        steps += 1
    assert steps >= 4
    assert quarantine.find(DIGEST, NOW) == make_entry()
    assert take_stale_markers(state / "running", NEXT) == ()


def make_results(plan: Path) -> Iterator[Path]:
    """Five whole results, the oldest first."""
    for number in range(5):
        run = plan / f"r{number}"
        run.mkdir(parents=True, exist_ok=True, mode=0o700)
        (run / "events.jsonl").write_text("{}\n")
        (run / "result.json").write_text(json.dumps({"run": {"outcome": "duration"}}))
        written = NOW - (100 - number) * 10**9
        os.utime(run / "result.json", ns=(written, written))
        yield run


def test_what_is_whole_after_a_kill_while_pruning_is_what_was(state: Path) -> None:

    def prepare() -> None:
        forget(state)
        list(make_results(state / "plan"))

    results = list(make_results(state / "plan"))
    keep = Keep(runs=2, bytes=None)
    steps = 0
    for _ in kill_at_each_step(lambda: prune_results(state / "plan", keep), prepare):
        for run in results[-2:]:
            assert names_in(run) == ["events.jsonl", "result.json"]
        for run in results[:-2]:  # its result goes first: what is left does not look whole
            if (run / "result.json").exists():
                assert names_in(run) == ["events.jsonl", "result.json"]
        steps += 1
    assert steps == 3 * 3  # two files and a directory each
    assert names_in(state / "plan") == ["r3", "r4"]


def test_a_run_that_was_killed_before_it_wrote_is_pruned_like_any_other(state: Path) -> None:
    list(make_results(state / "plan"))
    store = ResultStore(state)
    names = iter(f"new{number}" for number in range(100))
    for _ in kill_at_each_step(lambda: store.make_run("plan", next(names))):
        assert {"r0", "r1", "r2", "r3", "r4"} <= set(names_in(state / "plan"))
    store.close()
    prune_results(state / "plan", Keep(runs=1, bytes=None))
    left = names_in(state / "plan")
    assert "r4" in left
    assert len(left) <= 2
