"""What user space writes before programs are armed."""

import errno
import os
import struct
import threading

import pytest

from orchestrator.backends.bcc.attach import seed
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.compile.program import ResolvedTarget
from tests.support.bcc_maps import CPUS, FakeMap, fake_maps, recorded_program

PLAN = """
params: {least: {type: int, default: -2}}
limits: {events: 77, rate: 10/s}
probes:
  p:
    attach: "function:vfs_read"
    where: retval >= params.least
    sample: 1/5
    rate: 4/s
    events: 9
    emit: {took: elapsed}
    metrics:
      n: {count: true}
      low: {min: retval}
      high: {max: args.count}
  q: {attach: "entry:vfs_write", emit: {}}
"""


def test_the_control_element_has_all_bounds_and_is_disarmed() -> None:
    """Gaps and bursts in ns; a param as u64 bits; a probe without a cap has none."""
    map_layout = layout.MapLayout(recorded_program(PLAN))
    words = seed.control_words(map_layout, own_tgid=4711)
    assert words[0] == 0
    plan = {name: words[map_layout.plan_word(name)] for name in layout.PLAN_WORDS}
    assert plan == {
        "deadline": 0,
        "self": 4711,
        "counting": 0,
        "cap": 77,
        "rate_gap": 10**8,
        "rate_burst": 9 * 10**8,
    }
    probe = {name: words[map_layout.probe_word(0, name)] for name in layout.PROBE_WORDS}
    bounds = {"sample": 5, "cap": 9, "rate_gap": 25 * 10**7, "rate_burst": 75 * 10**7}
    assert probe == {**bounds, "epoch": 0}
    assert words[map_layout.probe_word(1, "cap")] == (1 << 64) - 1
    assert words[map_layout.param_word(0)] == (1 << 64) - 2


def test_a_canary_has_the_same_control_element_but_for_one_word() -> None:
    map_layout = layout.MapLayout(recorded_program(PLAN))
    words = seed.control_words(map_layout, own_tgid=4711)
    counting = seed.control_words(map_layout, own_tgid=4711, counting=True)
    words[map_layout.plan_word("counting")] = 1
    assert counting == words


def test_extremes_start_from_what_every_value_replaces() -> None:
    """On each CPU: a signed minimum from the largest s64, an unsigned maximum from 0; counters
    from 0."""
    map_layout = layout.MapLayout(recorded_program(PLAN))
    side = next(side for side in map_layout.sides if side.name == "return")
    words = struct.unpack(
        f"={CPUS * map_layout.ledger_bytes // 8}Q", seed.ledger_element(map_layout, side, CPUS)
    )
    starts = [map_layout.metric_word(use, "value") for use in range(3)]
    size = map_layout.ledger_bytes // 8
    assert [words[at] for at in starts] == [0, (1 << 63) - 1, 0]
    assert [words[size + at] for at in starts] == [0, (1 << 63) - 1, 0]
    assert sum(words) == 2 * ((1 << 63) - 1)


OWN, GONE = os.getpid(), 1 << 30
BITS = layout.NUMBER_BITS


def test_all_threads_of_a_process_are_followed() -> None:
    done = threading.Event()
    threads = [threading.Thread(target=done.wait, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    numbers = seed.target_numbers(ResolvedTarget(children=True), OWN)
    done.set()
    assert {thread.native_id for thread in threads} <= numbers.keys()
    assert {*numbers.values()} == {BITS["followed"]}


def test_a_number_has_all_that_it_is_there_for() -> None:
    """A process that is named and followed; its leader is a thread too."""
    target = ResolvedTarget(pid=(OWN,), tid=(OWN,), children=True)
    number = seed.target_numbers(target, None)[OWN]
    assert number == BITS["process"] | BITS["thread"] | BITS["followed"]


def test_what_does_not_exist_yet_is_awaited() -> None:
    target = ResolvedTarget(pid=(GONE, OWN), children=True)
    assert seed.target_numbers(target, None)[GONE] == (
        BITS["process"] | BITS["followed"] | BITS["awaited"]
    )
    alone = seed.target_numbers(ResolvedTarget(tid=(GONE, OWN)), None)
    assert alone == {GONE: BITS["thread"] | BITS["awaited"], OWN: BITS["thread"]}


def test_the_numbers_are_in_the_map() -> None:
    plan = "target: {pid: [1, 2]}\nprobes: {p: {attach: 'entry:vfs_read', emit: {}}}"
    program = recorded_program(plan)
    _, maps = fake_maps(program)
    seed.seed_tasks(maps[layout.TASKS], program.target, None)  # type: ignore[arg-type]
    found = {
        struct.unpack("=I", key)[0]: value[0] for key, value in maps[layout.TASKS].contents.items()
    }
    assert found[1] == BITS["process"]
    assert set(found) == {1, 2}


class FullMap(FakeMap):
    """A hash of at most three keys."""

    def update(self, key: bytes, value: bytes) -> None:
        if key not in self.contents and len(self.contents) == 3:
            raise OSError(errno.E2BIG, "full")
        super().update(key, value)


def test_cgroups_have_their_roles_and_those_without_room_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The count has its own key from the start, so that it is there when the map is full."""
    there = {"/a*": {"/a1": 11, "/a2": 12, "/a3": 13}, "/a2*": {"/a2": 12}}
    monkeypatch.setattr(seed, "find_cgroups", there.__getitem__)
    spec = MapSpec(name="pp_cgroups", kind="hash", key_size=8, value_size=8, max_entries=3)
    cgroups = FullMap(spec)
    seed.add_lost_cgroups(cgroups, 0)
    seed.seed_cgroups(cgroups, [("target", "/a*"), ("left_out", "/a2*")])
    assert seed.read_lost_cgroups(cgroups) == 1
    kept = {int.from_bytes(key, "little"): value[0] for key, value in cgroups.contents.items()}
    assert kept == {layout.LOST_CGROUPS: 1, 11: 1, 12: 3}
