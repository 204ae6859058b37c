"""User code: entries, returns, and both as one."""

import subprocess
from pathlib import Path

from orchestrator.backends.protocol import Session
from tests.live.bcc.test_counts import LIMITS
from tests.support.bcc_runs import balanced, run
from tests.support.settling import until


def test_a_user_function_is_one_event(load: Path) -> None:
    """1500 calls: arguments as of entry, the return value, misses known to be none."""
    made = run(LIMITS + f"""
probes:
  p:
    attach: ufunction:{load}:target_fn
    args: {{i: s64, twice: s64}}
    returns: s64
    emit: {{i: args.i, twice: args.twice, ret: retval, took: elapsed}}
    metrics: {{n: {{count: true}}}}
""", [str(load), "call", "1500"])  # fmt: skip
    balanced(made)
    assert [(r["i"], r["twice"], r["ret"]) for r in made.records] == [
        (i, 2 * i, i + 7) for i in range(1500)
    ]
    for name in ("entry", "return"):
        side = made.side(0, name)
        assert (side.fired, side.accepted, side.kernel_missed) == (1500, 1500, 0)


def test_a_user_entry_and_a_user_return(load: Path) -> None:
    """Each by itself."""
    made = run(LIMITS + f"""
probes:
  e: {{attach: "uprobe:{load}:target_fn", args: {{i: s64}}, where: args.i % 2 == 0,
      emit: {{i: args.i}}}}
  r: {{attach: "uretprobe:{load}:target_fn", returns: s64, emit: {{ret: retval}}}}
""", [str(load), "call", "400"])  # fmt: skip
    balanced(made)
    assert [r["i"] for r in made.records if r["probe"] == "e"] == list(range(0, 400, 2))
    assert [r["ret"] for r in made.records if r["probe"] == "r"] == list(range(7, 407))
    assert made.side(0).filtered == 200


def test_recursion_is_paired_rightly(calls: Path) -> None:
    """Nested calls of one function: each return meets its own entry."""
    made = run(LIMITS + f"""
probes:
  p:
    attach: ufunction:{calls}:nest
    args: {{depth: s64}}
    returns: s64
    emit: {{depth: args.depth, ret: retval, took: elapsed}}
""", [str(calls), "nest 4", "nest 4"])  # fmt: skip
    balanced(made)
    assert [(r["depth"], r["ret"]) for r in made.records] == [
        (depth, 10 * depth) for depth in (1, 2, 3, 4)
    ] * 2
    first = made.records[:4]
    assert [r["took"] for r in first] == sorted(r["took"] for r in first)


def test_nothing_is_left_behind(load: Path) -> None:
    """After a run no event of ours is defined."""
    run(LIMITS + f"probes: {{p: {{attach: 'uprobe:{load}:target_fn', emit: {{}}}}}}\n",
        [str(load), "call", "1"])  # fmt: skip
    left = Path("/sys/kernel/tracing/uprobe_events").read_text()
    assert str(load) not in left


def test_a_probe_that_leaves_early_takes_its_definition_with_it(load: Path) -> None:
    """While the run goes on: the other probe counts every call."""
    definitions = Path("/sys/kernel/tracing/uprobe_events")

    def steps(session: Session) -> None:
        subprocess.run([load, "call", "100"], check=True, capture_output=True)
        assert definitions.read_text().count(str(load)) == 2
        session.detach_probe(1)
        assert until(lambda: definitions.read_text().count(str(load)) == 1)
        subprocess.run([load, "call", "50"], check=True, capture_output=True)

    made = run(LIMITS + f"""
probes:
  stays: {{attach: "uprobe:{load}:target_fn", metrics: {{n: {{count: true}}}}}}
  leaves: {{attach: "uprobe:{load}:main", metrics: {{m: {{count: true}}}}}}
""", during=steps)  # fmt: skip
    balanced(made)
    assert [made.side(hook).accepted for hook in (0, 1)] == [150, 1]
    assert str(load) not in definitions.read_text()


def test_strings_kept_from_the_entry_may_be_large(calls: Path) -> None:
    """Frames too large for the BPF stack are filled in the map; what was read at the entry is
    what is reported, cut or not."""
    long = "/none/" + "l" * 300
    made = run(LIMITS + f"target: {{comm: {calls.name}}}\n" + """
probes:
  p:
    attach: syscall:openat
    where: startswith(str(args.filename), "/none/")
    emit: {whole: 'entry(str(args.filename, 400))', part: 'entry(str(args.filename, 20))'}
""", [str(calls), f"open {long}", "open /none/short"])  # fmt: skip
    balanced(made)
    assert [(r["whole"].decode(), r["part"].decode(), r["truncated"]) for r in made.records] == [
        (long, long[:19], ["part"]),
        ("/none/short", "/none/short", []),
    ]


def test_a_usdt_probe_with_its_argument() -> None:
    """Three collections of generation 1 by a Python of ours; its semaphore is counted up, or the
    probe would be silent."""
    python = Path("/usr/bin/python3").resolve()
    made = run(LIMITS + f"""
target: {{children: true}}
probes:
  gc:
    attach: usdt:{python}:python:gc__start
    where: arg0 == 1
    emit: {{generation: arg0}}
""", [str(python), "-c", "import gc; gc.disable(); [gc.collect(1) for _ in range(3)]"],
        root=True)  # fmt: skip
    balanced(made)
    assert [r["generation"] for r in made.records] == [1, 1, 1]
