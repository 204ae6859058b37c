"""Finding codes: checks of workloads."""

from orchestrator.plan.codes.finding_code import FindingCode

_HEAD = """\
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: example, summary: An example}
"""


def _check(expectation: str, plan: str = "fsync", workload: str = "run: [make, test]") -> str:
    """A check with one expectation, as the text of an example."""
    return f"{_HEAD}plan: {plan}\nworkload:\n  {workload}\nexpect:\n  example: {expectation}\n"


_SAMPLED = """
  probes:
    write:
      attach: syscall:write
      sample: 1/100
      metrics: {calls: {count: true}}"""
_SIZES = """
  probes:
    write:
      attach: syscall:write
      metrics: {sizes: {histogram: args.count}}"""

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP200",
        title="not one comparison",
        meaning=(
            "An expectation compares one value with one bound, or in a chain with a lower and an "
            "upper one. What is joined by `and` or `or` has no single value to report."
        ),
        cure="Write one expectation for each comparison.",
        example=_check("sync.calls == 0 and ring.requests == 0"),
    ),
    FindingCode(
        code="PP201",
        title="measured on the wrong side",
        meaning=(
            "What was measured is at the left of an expectation; at the right is a constant, or a "
            "value over `baseline`."
        ),
        cure="Write the metric at the left, and the bound at the right.",
        example=_check("10 >= 2 * 5"),
    ),
    FindingCode(
        code="PP202",
        title="`baseline` at the left",
        meaning=(
            "`baseline` is the recorded value of what is at the left, so it can only be a part of "
            "the bound."
        ),
        cure="Write `VALUE <= 1.01 * baseline`.",
        example=_check("sync.calls / baseline <= 2"),
    ),
    FindingCode(
        code="PP203",
        title="no such key",
        meaning="A filter names the keys of its metric, which the metric's `by` lists.",
        cure="Use a key that the hint names, or give the metric this key.",
        example=_check('sync.calls[command == "python3"] == 0'),
    ),
    FindingCode(
        code="PP204",
        title="these cannot be compared",
        meaning=(
            "Expectations compare numbers. Filters compare keys with values of the same type."
        ),
        cure="Compare a number with a number, and text with text.",
        example=_check('sync.calls == "none"'),
    ),
    FindingCode(
        code="PP205",
        title="no difference of two sizes",
        meaning=(
            "With two numbers of operations, values are the difference between both. That needs "
            "two different sizes that the workload is given as $(ops), and values that can be "
            "subtracted: counts, sums and their averages."
        ),
        cure="Name two sizes and give them to the workload, or judge a count or a sum.",
        example=_check(
            "sync.calls / ops == 2", workload="run: [./bulk, $(ops)]\n  ops: [100, 100]"
        ),
    ),
    FindingCode(
        code="PP206",
        title="a sampled probe is no count",
        meaning="What a sampled probe counts is an estimate, which is not the same in each run.",
        cure="Let the probe see every event, or compare it with a generous constant.",
        example=_check("write.calls == 10", plan=_SAMPLED),
    ),
    FindingCode(
        code="PP207",
        title="finer than a histogram",
        meaning=(
            "A percentile is the middle of a histogram's bucket, up to 3.1 % from the true value. "
            "A closer bound would judge the buckets."
        ),
        cure="Widen the bound, or judge a sum or a count.",
        example=_check("write.sizes.p99 <= 1.01 * baseline", plan=_SIZES),
    ),
    FindingCode(
        code="PP208",
        title="a time against a stored baseline",
        meaning=(
            "Times depend on the machine and on what else runs on it, so that a recorded time is "
            "no measure for a later one."
        ),
        cure=(
            "Give the check a param, and compare two of its values, such as two builds, in turns: "
            "`probeplan check FILE --ab build=./old,./new`. Otherwise compare the time with a "
            "constant, or judge what is counted."
        ),
        example=_check("workload.wall <= 1.10 * baseline"),
    ),
    FindingCode(
        code="PP209",
        title="$(…) is not defined",
        meaning=(
            "$(params.NAME), $(scratch), $(here) and $(ops) are replaced in a workload. In the "
            "name of a program, and in paths, nothing else would replace what is written so."
        ),
        cure="Correct the name, or define the param.",
        example=_check("sync.calls == 0", workload="run: [$(build)/server]"),
    ),
    FindingCode(
        code="PP210",
        title="two checks with one baseline",
        meaning="Checks of one name in a folder would overwrite each other's baseline.",
        cure="Give each check its own name, or its own `baseline`.",
        arises="When checks of one folder are linted or run together.",
    ),
    FindingCode(
        code="PP211",
        title="no cells to judge",
        meaning="`each` judges every cell of a metric, so the metric needs a key.",
        cure="Use metrics with the same `by`, or leave out `each`.",
        example=_check("{that: workload.maxrss <= 64*MiB, each: true}"),
    ),
    FindingCode(
        code="PP212",
        title="no comparison of two sides",
        meaning=(
            "Two sides (`check --ab`) are measured by the same probes, so that their param is one "
            "of the workload and not of the plan. Their times are judged by all repeats at once: "
            "the minimum, the lower quartile and the median of one side are beyond a bound that "
            "those of the other set. They are never equal, and no single repeat is judged."
        ),
        cure="Write `VALUE <= 1.10 * baseline`, without `of`; use the param in `workload`.",
        arises=(
            "When a check is run with --ab that compares times by `==`, has `of` with them, or "
            "hands the param to its plan or to nothing."
        ),
    ),
    FindingCode(
        code="PP220",
        title="a damaged baseline",
        meaning=(
            "The file is no baseline: not JSON, or not what its schema describes. It is not "
            "overwritten, since it may be another file."
        ),
        cure="Restore it from version control, or delete it and record again.",
        arises="When a check is run whose baseline cannot be understood.",
    ),
    FindingCode(
        code="PP221",
        title="a newer baseline",
        meaning="The file was written by a later release, in a format that this one does not read.",
        cure="Update probeplan, or record another file.",
        arises="When a check is run whose baseline has a newer format.",
    ),
    FindingCode(
        code="PP222",
        title="a baseline that is no file",
        meaning=(
            "Baselines are not read or written through links, since a check may run as root in a "
            "folder of another user."
        ),
        cure="Put the file itself there, or name its place with `baseline`.",
        arises="When the baseline of a check is a symbolic link, a pipe or a device.",
    ),
    FindingCode(
        code="PP223",
        title="a baseline without access",
        meaning="The file cannot be read, or its folder cannot be written.",
        cure="Make the folder writable, or name another file with `baseline`.",
        arises="When a check is run whose baseline cannot be read, or updated with --update.",
    ),
    FindingCode(
        code="PP230",
        title="no meaning in a machine",
        meaning=(
            "A deterministic machine has one CPU, and repeating in it would give the same figures "
            "again: each of its seeds, which differ in their random numbers, is one repeat."
        ),
        cure="Leave it out; `machine: {seeds: N}` says how many there are.",
        example=_check("sync.calls == 0", workload="run: [make]\n  repeats: 5")
        + "machine: {kernel: debian:6.1}\n",
    ),
)
