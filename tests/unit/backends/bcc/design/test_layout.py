"""Where words lie: nothing overlaps, and sizes hold all that is placed."""

from orchestrator.backends.bcc.design import layout
from orchestrator.compile.program import Program
from tests.support.bcc_maps import recorded_program

MANY = """
limits: {probes: 100}
params: {a: {type: int, default: 1}, b: {type: int, default: 2}}
probes:
""" + "".join(
    f"  p{i}: {{attach: 'rawtracepoint:sched_switch', where: 'pid > params.a + params.b', "
    "metrics: {n: {count: true}, m: {sum: pid}}}\n"
    for i in range(70)
)


def control_words(program: Program) -> list[int]:
    """Every word of the control element, by what it is for."""
    map_layout = layout.MapLayout(program)
    words = list(range(map_layout.enabled_words))
    words += [map_layout.plan_word(name) for name in layout.PLAN_WORDS]
    for probe in program.probes:
        words += [map_layout.probe_word(probe.index, name) for name in layout.PROBE_WORDS]
    return words + [map_layout.param_word(param.slot) for param in program.params]


def test_each_word_of_the_control_element_has_its_place() -> None:
    """70 probes need two words of bits; then the plan's words, each probe's, and the params."""
    program = recorded_program(MANY)
    words = control_words(program)
    assert sorted(words) == list(range(layout.MapLayout(program).control_bytes // layout.WORD))
    assert layout.MapLayout(program).enabled_words == 2


def test_each_shared_word_has_a_cache_line() -> None:
    program = recorded_program(MANY)
    probes: list[int | None] = [None, *range(len(program.probes))]
    lines = [layout.MapLayout.rate_line(probe) for probe in probes]
    lines += [layout.MapLayout.emitted_line(probe) for probe in probes]
    assert sorted(lines) == list(range(len(lines)))
    assert layout.MapLayout(program).shared_bytes == len(lines) * 64


def test_a_ledger_element_holds_its_counters_and_its_metrics() -> None:
    map_layout = layout.MapLayout(recorded_program(MANY))
    words = [map_layout.ledger_word(name) for name in layout.LEDGER_WORDS]
    words += [map_layout.metric_word(use, name) for use in (0, 1) for name in layout.METRIC_WORDS]
    assert sorted(words) == list(range(map_layout.ledger_bytes // layout.WORD))


def test_elements_of_the_ledger_are_sides_lost_children_and_spans() -> None:
    plan = """
probes:
  p: {attach: "function:vfs_read", emit: {took: elapsed}}
  out: {attach: "entry:vfs_write"}
  back: {attach: "fexit:vfs_write"}
spans:
  s: {start: out, end: back, key: [tid], metrics: {n: {count: true}}}
"""
    map_layout = layout.MapLayout(recorded_program(plan))
    numbers = [side.index for side in map_layout.sides]
    numbers += [map_layout.children_element, map_layout.span_element(0)]
    assert numbers == list(range(map_layout.elements))


def test_stacks_are_shallower_where_memory_is_short() -> None:
    """128 frames where 4,096 such stacks fit into a fourth of limits.memory, else fewer."""
    probes = "probes: {p: {attach: 'entry:vfs_read', emit: {s: kstack}}}"
    depths = {}
    for memory in ("64MiB", "12MiB", "2MiB"):
        map_layout = layout.MapLayout(recorded_program(f"limits: {{memory: {memory}}}\n{probes}"))
        depths[memory] = map_layout.stack_depth
        size = layout.stack_bytes(map_layout.stack_depth)
        assert map_layout.stack_entries * size <= map_layout.program.limits.memory // 4
    assert depths == {"64MiB": 128, "12MiB": 64, "2MiB": 32}
    silent = recorded_program("probes: {p: {attach: 'entry:vfs_read', emit: {}}}")
    assert layout.MapLayout(silent).stack_depth == 0
