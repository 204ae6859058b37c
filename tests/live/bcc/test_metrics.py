"""Metrics on this machine's kernel."""

from pathlib import Path

from orchestrator.cells.buckets import LOG
from tests.live.bcc.test_counts import LIMITS, comm
from tests.support.bcc_runs import balanced, run

VALUES = (0, 1, 15, 16, 17, 1000, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def prctl(*values: int) -> list[str]:
    """prctl(99, value) for each."""
    return [f"prctl 99 {value}" for value in values]


def plan(metrics: str) -> str:
    """A plan over prctl(99, x): `x` is unsigned, `s` the same bits signed."""
    return f"""
let: {{x: args.arg2, s: 'cast(args.arg2, "s64")'}}
probes:
  p:
    attach: syscall:prctl
    where: args.option == 99
    metrics: {metrics}
"""


def test_histograms_use_the_readers_buckets(calls: Path) -> None:
    """Every value lands in the bucket that cells.buckets says; negative ones are below."""
    made = run(LIMITS + comm(calls) + plan("{u: {histogram: x}, s: {histogram: s, by: [comm]}}"),
               [str(calls), *prctl(*VALUES)])  # fmt: skip
    balanced(made)
    unsigned, signed = made.metric("u")[0], made.metric("s")[0]
    expected: dict[int, int] = {}
    for value in VALUES:
        expected[LOG.index(value)] = expected.get(LOG.index(value), 0) + 1
    assert unsigned.buckets == expected
    assert (unsigned.below, unsigned.count) == (0, len(VALUES))
    assert (signed.below, sum(signed.buckets.values())) == (2, len(VALUES) - 2)


def test_linear_buckets_and_what_lies_outside(calls: Path) -> None:
    """[10, 30) in steps of 5, below and above apart, for signed and unsigned values."""
    linear = "buckets: linear(10, 30, 5)"
    made = run(LIMITS + comm(calls) + plan(
        f"{{u: {{histogram: x, {linear}}}, s: {{histogram: s, {linear}}}}}".replace(
            "linear(10, 30, 5)", '"linear(10, 30, 5)"')),
        [str(calls), *prctl(9, 10, 14, 15, 29, 30, 2**64 - 1)])  # fmt: skip
    unsigned, signed = made.metric("u")[0], made.metric("s")[0]
    assert (unsigned.below, unsigned.buckets, unsigned.above) == (1, {0: 2, 1: 1, 3: 1}, 2)
    assert (signed.below, signed.buckets, signed.above) == (2, {0: 2, 1: 1, 3: 1}, 1)


def test_extremes_sums_and_averages(calls: Path) -> None:
    """Signed and unsigned, with and without a key."""
    made = run(LIMITS + comm(calls) + plan("""
      lo: {min: s}
      hi: {max: s}
      uhi: {max: x}
      klo: {min: s, by: [comm]}
      sum: {sum: s}
      avg: {avg: s, by: [pid]}
      big: {count: x > 100}
      some: {sum: x, where: x < 50}
"""), [str(calls), *prctl(5, 2**64 - 3, 40, 1000)])  # fmt: skip
    balanced(made)
    cells = {m.name: made.metric(m.name)[0] for m in made.program.metrics}
    assert (cells["lo"].min, cells["hi"].max, cells["uhi"].max) == (-3, 1000, 2**64 - 3)
    assert cells["klo"].min == -3
    assert (cells["sum"].sum, cells["avg"].sum, cells["avg"].count) == (1042, 1042, 4)
    assert (cells["big"].count, cells["some"].sum) == (2, 45)
    counts = {made.program.metrics[m.metric].name: m for m in made.counts.metrics}
    assert (counts["some"].counted, counts["some"].filtered) == (2, 2)


def test_nothing_counted_has_no_extreme(calls: Path) -> None:
    """min and max of nothing are None."""
    made = run(LIMITS + comm(calls) + plan("{lo: {min: s}, hi: {max: x}}"), [str(calls)])
    assert (made.metric("lo")[0].min, made.metric("hi")[0].max) == (None, None)


def test_keys_over_the_bound_go_to_other(calls: Path) -> None:
    """Eight keys fit; the other twelve's events are in `other`, and reported as map_full."""
    made = run(LIMITS + comm(calls) + plan("""
      n: {count: true, by: [args.arg2], keys: 8}
      s: {sum: x, by: [args.arg2], keys: 8}
      m: {max: x, by: [args.arg2], keys: 8}
""".replace("[args.arg2]", "[x]")), [str(calls), *prctl(*range(100, 120))])  # fmt: skip
    balanced(made)
    for name in ("n", "s", "m"):
        *keyed, other = made.metric(name)
        assert other.key is None
        assert (len(keyed), other.count) == (8, 12)
        counts = next(m for m in made.counts.metrics
                      if made.program.metrics[m.metric].name == name)  # fmt: skip
        assert (counts.counted, counts.map_full, counts.map_busy) == (8, 12, 0)
    assert sum(cell.sum for cell in made.metric("s")) == sum(range(100, 120))
    assert max(cell.max or 0 for cell in made.metric("m")) == 119


def test_a_text_follows_a_number_of_any_size_in_a_key(calls: Path) -> None:
    """Chosen, constant, read, kept and task names after 1 to 8 bytes, in metrics and in a span: the
    kernel accepts each program, and each key is whole."""
    numbers = {"flag": 1, "half": 0, "number": 0, "wide": 0}
    texts = {"chosen": "asked", "probe": "p", "read": "/dev/nul", "kept": "/dev/nul",
             "comm": calls.name}  # fmt: skip
    keys = [(number, text) for number in numbers for text in texts]
    metrics = "".join(
        f"      m{i}: {{count: true, by: [{', '.join(key)}]}}\n" for i, key in enumerate(keys)
    )
    made = run(LIMITS + comm(calls) + """
let:
  flag: args.flags == 0
  half: cast(args.flags, u16)
  number: cast(args.flags, u32)
  wide: cast(args.flags, u64)
  chosen: '"asked" if args.flags == 0 else "declined"'
  read: str(args.filename, 9)
  kept: entry(str(args.filename, 9))
probes:
  p:
    attach: syscall:openat
    where: str(args.filename) == "/dev/null"
    metrics:
""" + metrics + """
  start:
    attach: syscall:openat
    where: str(args.filename) == "/dev/null"
    let: {here: '"x" if retval >= 0 else "y"'}
  end: {attach: syscall:close, let: {here: '"x" if retval >= 0 else "y"'}}
spans:
  s: {start: start, end: end, key: [tid, here], metrics: {n: {count: true}}}
""", [str(calls), "open /dev/null", "open /dev/null"])  # fmt: skip
    balanced(made)
    for index, (number, text) in enumerate(keys):
        (cell,) = made.metric(f"m{index}")
        spec = next(m for m in made.program.metrics if m.name == f"m{index}")
        assert cell.key is not None
        first, second = (cell.key[part.offset : part.offset + part.size] for part in spec.key)
        assert (int.from_bytes(first, "little"), second.rstrip(b"\0").decode()) == (
            numbers[number],
            texts[text],
        )
        assert cell.count == 2
    assert [cell.count for cell in made.metric("n")] == [2]


def test_sums_beyond_64_bits_are_whole(calls: Path) -> None:
    """Unsigned and signed, up and down, with and without a key, sampled weights apart: the cells
    are Python's sums of the values."""
    values = (2**64 - 1, 2**64 - 1, 5, 2**63, 2**63 - 1, 2**32, 2**32 - 1)
    signed = [value - 2**64 if value >> 63 else value for value in values]
    low = (2**63, 2**63, 2**63 + 1)
    made = run(LIMITS + comm(calls) + plan("""
      u: {sum: x}
      s: {sum: s, by: [comm]}
      mean: {avg: x, by: [comm]}
      small: {sum: "cast(x, u32)"}
"""), [str(calls), *prctl(*values)])  # fmt: skip
    balanced(made)
    sums = {name: made.metric(name)[0] for name in ("u", "s", "mean", "small")}
    assert (sums["u"].count, sums["u"].sum) == (len(values), sum(values))
    assert sums["s"].sum == sum(signed)
    assert sums["mean"].sum == sum(values)
    assert sums["small"].sum == sum(value % 2**32 for value in values)
    below = run(LIMITS + comm(calls) + plan("{s: {sum: s}}"), [str(calls), *prctl(*low)])
    assert below.metric("s")[0].sum == sum(value - 2**64 for value in low)
