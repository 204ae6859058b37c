"""What user space writes before programs are armed."""

import struct
import threading

from orchestrator.backends.bcc.attach import seed
from orchestrator.backends.bcc.design import layout
from tests.support.bcc_maps import CPUS, fake_maps, recorded_program

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
        "cap": 77,
        "rate_gap": 10**8,
        "rate_burst": 9 * 10**8,
    }
    probe = {name: words[map_layout.probe_word(0, name)] for name in layout.PROBE_WORDS}
    assert probe == {"sample": 5, "cap": 9, "rate_gap": 25 * 10**7, "rate_burst": 75 * 10**7}
    assert words[map_layout.probe_word(1, "cap")] == (1 << 64) - 1
    assert words[map_layout.param_word(0)] == (1 << 64) - 2


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


def test_all_threads_of_a_process_are_followed() -> None:
    plan = "target: {children: true}\nprobes: {p: {attach: 'entry:vfs_read', emit: {}}}"
    _, maps = fake_maps(recorded_program(plan))
    done = threading.Event()
    threads = [threading.Thread(target=done.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    seed.seed_threads(maps[layout.TASKS], threading.main_thread().native_id or 0)  # type: ignore[arg-type]
    done.set()
    followed = {struct.unpack("=I", key)[0] for key in maps[layout.TASKS].contents}
    assert {thread.native_id for thread in threads} <= followed
    for thread in threads:
        thread.join()


def test_a_process_that_is_gone_has_no_threads() -> None:
    plan = "target: {children: true}\nprobes: {p: {attach: 'entry:vfs_read', emit: {}}}"
    _, maps = fake_maps(recorded_program(plan))
    seed.seed_threads(maps[layout.TASKS], 1 << 30)  # type: ignore[arg-type]
    assert not maps[layout.TASKS].contents
