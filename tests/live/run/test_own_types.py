"""Structures that a plan declares, elements of arrays, and arguments of USDT probes by name."""

import resource
from pathlib import Path

import pytest

from tests.support.bcc_runs import build
from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS
from tests.support.product import run_cli

COUNT = 8
TYPES = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: types, summary: for tests, requires: "1.1"}
limits: {duration: 1m, cpu: 100%}
types:
  item:
    first: s32 at 0
    second: s32 at 4
    name: string[10] at 8
    next: item * at 24
  bag:
    few: short[4] at 0
    inner: item at 8
    grid: u32[2][3] at 0x28
    all: item *[2] at 0x40
"""
ARGS = 'args: {item: "item *", values: "s32 *", index: s32, bag: "bag *"}'
BACKENDS = pytest.mark.parametrize("backend", ["bcc", "tracefs"])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload structures.c."""
    return build(WORKLOADS / "structures.c", tmp_path_factory.mktemp("structures") / "structures")


@BACKENDS
def test_members_and_elements_at_constant_indexes(
    tmp_path: Path, program: Path, backend: str
) -> None:
    """Through pointers, embedded structures, arrays of arrays and of pointers; text with control
    characters. What a null pointer leads to is null."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{TYPES}
probes:
  p:
    attach: {{to: "uprobe:{program}:take", {ARGS}}}
    emit:
      first: args.item.first
      second: cast(arg0, "item").second
      name: args.item.name
      next_name: args.item.next.name
      none: args.item.next.next.name
      value: args.values[2]
      few: args.bag.few[3]
      grid: args.bag.grid[1][2]
      all: args.bag.all[1].first
      inner: args.bag.inner.next.second
      letter: args.item.name[1]
""")
    ran = run_cli(str(plan), "--backend", backend, command=[str(program), str(COUNT)])
    same = {
        "second": -2, "name": "first", "next_name": 'a\n\x1b[31mb"', "none": None, "value": 30,
        "few": -4, "grid": 6, "all": 7, "inner": -2, "letter": ord("i"),
    }  # fmt: skip
    assert ran.data("p") == [{"first": number, **same} for number in range(COUNT)]


def test_an_index_of_the_event_is_null_outside_of_an_array(tmp_path: Path, program: Path) -> None:
    """Each read outside is counted as faulted; a pointer has no end."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{TYPES}
probes:
  p:
    attach: {{to: "ufunction:{program}:take", {ARGS}, returns: s64}}
    let: {{at: args.index}}
    emit:
      i: at
      few: args.bag.few[at]
      grid: args.bag.grid[1][at]
      letter: entry(args.item.name[at])
    metrics:
      fits: {{count: "args.bag.few[retval] != 0"}}
      pairs: {{count: "args.values[at & 3] == 10 * (at & 3) + 10"}}
""")
    ran = run_cli(str(plan), "--backend", "bcc", command=[str(program), str(COUNT)])
    few, grid = (1, 2, 3, -4), (4, 5, 6)
    letters = b"first\0\0\0\0\0"
    assert ran.data("p") == [
        {
            "i": i,
            "few": few[i] if 0 <= i < 4 else None,
            "grid": grid[i] if 0 <= i < 3 else None,
            "letter": letters[i] if i >= 0 else None,
        }
        for i in range(-2, COUNT - 2)
    ]
    assert ran.finished["ledger"]["faulted"] == 4 + 5 + 2 + 4
    assert [ran.cells("p", name)[0]["value"] for name in ("fits", "pairs")] == [4, COUNT]


@BACKENDS
def test_arguments_by_debug_information(tmp_path: Path, backend: str) -> None:
    """Names and types of the source: pointers, bit-fields, elements."""
    program = tmp_path / "described"
    compile_to(program, WORKLOADS / "structures.c", flags=("-g",))
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{TYPES}
probes:
  p:
    attach: "uprobe:{program}:take"
    emit:
      first: args.item.first
      name: args.item.next.name
      value: args.values[2]
      index: args.index
      low: args.bag.low
      high: args.bag.high
      inner: args.bag.inner.next.second
""")
    ran = run_cli(str(plan), "--backend", backend, command=[str(program), str(COUNT)])
    same = {"name": 'a\n\x1b[31mb"', "value": 30, "low": 5, "high": 17, "inner": -2}
    assert ran.data("p") == [{"first": n, "index": n - 2, **same} for n in range(COUNT)]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload described.c, with debug information."""
    program = tmp_path_factory.mktemp("described") / "described"
    flags = ("-g", "-freorder-blocks-and-partition")
    return compile_to(program, WORKLOADS / "described.c", flags=flags)


@BACKENDS
def test_structures_of_a_program_by_its_debug_information(
    tmp_path: Path, described: Path, backend: str
) -> None:
    """A pointer that the source says nothing of, at a function in two pieces."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{TYPES.partition("types:")[0]}
probes:
  p:
    attach: "uprobe:{described}:tint"
    let: {{item: 'cast(args.cookie, "item")'}}
    where: item.value != 0
    emit: {{value: item.value, low: item.low, high: item.high, next: item.next.value}}
""")
    ran = run_cli(str(plan), "--backend", backend, command=[str(described), str(COUNT)])
    assert ran.data("p") == [
        {"value": n - 2, "low": 5, "high": 17, "next": 100 + n} for n in range(COUNT) if n != 2
    ]


@BACKENDS
def test_returns_by_debug_information(tmp_path: Path, described: Path, backend: str) -> None:
    """Signs, one byte of a bool, the names of an enum, and what pointers lead to; the tracefs
    backend reads no memory at a return."""
    reads = "text: str(retval)", "next: retval.value"
    text, after = reads if backend == "bcc" else ("text: retval != 0", "next: retval != 0")
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{TYPES.partition("types:")[0]}
probes:
  tint: {{attach: "uretprobe:{described}:tint", emit: {{n: retval, name: label(retval)}}}}
  value: {{attach: "uretprobe:{described}:value", where: retval < 0, emit: {{n: retval}}}}
  positive: {{attach: "uretprobe:{described}:positive", emit: {{is_it: retval}}}}
  text: {{attach: "uretprobe:{described}:text", emit: {{{text}}}}}
  next: {{attach: "uretprobe:{described}:next", emit: {{{after}}}}}
""")
    ran = run_cli(str(plan), "--backend", backend, command=[str(described), str(COUNT)])
    colours = [{"n": -1, "name": "RED"}] * 2 + [{"n": 2, "name": "GREEN"}] * (COUNT - 2)
    assert ran.data("tint") == colours
    assert ran.data("value") == [{"n": -2}, {"n": -1}]
    assert ran.data("positive") == [{"is_it": n > 2} for n in range(COUNT)]
    read = backend == "bcc"
    texts = ["below", "below", *["above"] * (COUNT - 2)]
    assert ran.data("text") == [{"text": text if read else True} for text in texts]
    assert ran.data("next") == [{"next": 100 + n if read else True} for n in range(COUNT)]


def test_arrays_of_the_kernel(tmp_path: Path, program: Path) -> None:
    """Of its structures by BTF, and of a tracepoint's record, at constant and other indexes."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{TYPES}
probes:
  p:
    attach: tracepoint:raw_syscalls:sys_enter
    where: args.id == SYS_getpriority
    let: {{limit: "task.signal.rlim[7].rlim_max"}}
    emit:
      which: args.args[0]
      same: args.args[args.args[0]]
      outside: args.args[args.id]
      letter: comm_of[0]
      limit: limit
      at: task.signal.rlim[args.args[0] + 7].rlim_max
""".replace("comm_of", "task.comm"))  # fmt: skip
    ran = run_cli(str(plan), "--backend", "bcc", command=[str(program), str(COUNT)])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    one = {"which": 0, "same": 0, "outside": None, "letter": ord("s"), "limit": most, "at": most}
    assert ran.data("p") == [one] * COUNT


def test_arguments_of_a_usdt_probe_have_names_and_types(tmp_path: Path, program: Path) -> None:
    """By position; text is read by `str`, and what a pointer leads to by its type."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""{TYPES}
probes:
  p:
    attach: "usdt:{program}:shop:sold"
    args: {{name: "char *", amount: s32, values: "s32 *"}}
    emit: {{name: str(args.name), amount: args.amount, value: "args.values[1]", place: func}}
""")
    ran = run_cli(str(plan), "--backend", "bcc", command=[str(program), str(COUNT)])
    assert ran.data("p") == [
        {"name": "first", "amount": n, "value": 20, "place": "sold"} for n in range(COUNT)
    ]
