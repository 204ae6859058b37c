"""What expectations may say: each finding with its column, and the forms that are accepted."""

import pytest

from tests.support.checks import check_text, inspect, shown

GOOD = (
    "write.calls == 0",
    "write.calls != 3",
    "call.calls <= 1.01 * baseline",
    "0.98 * baseline <= call.calls <= 1.02 * baseline",
    "300 >= call.calls > baseline - 5",
    "call.calls[number == SYS_fdatasync] == 4",
    'call.named[number in (SYS_fsync, SYS_fdatasync) and comm != "sh"] <= 10 * baseline',
    'call.named[not (comm in ("a", "b")) or number + 1 > 5] == 0',
    "write.bytes / 1048576 <= 3",
    "write.bytes / MiB <= 3",
    "write.mean.avg <= 4*KiB",
    "write.mean <= baseline",
    "write.least >= 1",
    'write.most[comm == "dd"] <= 4096',
    "write.sizes.p99 <= 4*KiB",
    "write.sizes.p99 <= 1.05 * baseline",
    "write.sizes.count == baseline",
    "write.steps.p50 <= baseline",
    "write.latency.count <= baseline",
    'write.latency[comm == "dd"].p99 <= 10*ms',
    "write.took <= 5*s",
    "max(write.calls, call.calls) - min(write.calls, 3) <= -(2 - 5)",
    "share <= 0.5",
    "share <= baseline",
    "workload.wall <= 5*s",
    "workload.maxrss <= 1.05 * baseline",
    "rare.calls <= 100",
    "wait.waits <= 100",
    "call.calls % 2 == 0",
    "ops * write.calls // 3 <= 5",
    "call.calls[number in (SYS_open, SYS_openat)] <= E2BIG",
)


@pytest.mark.parametrize("text", GOOD)
def test_this_is_an_expectation(text: str) -> None:
    check, findings = inspect(check_text(text))
    assert not findings, shown(findings)
    assert check is not None
    assert [expectation.that.text for expectation in check.expectations] == [text]


BAD = (
    ("write.calls", "PP200", 1, "one comparison"),
    ("write.calls == 0 and call.calls == 0", "PP200", 1, "one expectation for each"),
    ("0 <= write.calls and write.calls <= 5", "PP200", 1, "A <= VALUE <= B"),
    ("not write.calls == 0", "PP200", 1, ""),
    ("write.calls in (1, 2)", "PP200", 1, ""),
    ("0 <= write.calls >= 5", "PP200", 1, "a range"),
    ("1 < 2 < write.calls < 4", "PP200", 1, ""),
    ("1 == write.calls == 1", "PP200", 1, ""),
    ("5 >= 3", "PP201", 1, "at the left"),
    ("5 >= write.calls", "PP201", 1, "at the left"),
    ("ops == 3", "PP201", 1, ""),
    ("write.calls <= call.calls", "PP201", 16, "bring it to the left"),
    ("write.calls <= share", "PP201", 16, ""),
    ("write.calls <= 4 * ops", "PP201", 20, "`ops` is at the right"),
    ("baseline >= write.calls", "PP202", 1, "at the left"),
    ("write.calls / baseline <= baseline", "PP202", 1, "at the left, and at the right"),
    ("write.call == 0", "PP071", 1, "did you mean 'write.calls'"),
    ("writes.calls == 0", "PP071", 1, "did you mean"),
    ("shares <= 1", "PP022", 1, "did you mean 'share'"),
    ("write.calls <= baselin", "PP022", 16, "did you mean 'baseline'"),
    ("write.sizes <= 4", "PP072", 1, "a histogram, not one number"),
    ("write.calls.p99 <= 4", "PP072", 1, "has no 'p99'"),
    ("workload.walls <= 4", "PP072", 1, "did you mean 'wall'"),
    ("write.calls <= params.limit", "PP065", 16, "no param 'limit'"),
    ("call.calls[nummer == 3] == 0", "PP203", 12, "did you mean 'number'"),
    ("call.calls[comm == 3] == 0", "PP203", 12, "its keys: number"),
    ("write.calls[comm == 3] == 0", "PP203", 13, "no key to filter by"),
    ("workload.wall[comm == 3] <= 5", "PP203", 1, "no cells"),
    ("share[comm == 3] <= 5", "PP071", 1, "no cells"),
    ("(write.calls + 1)[comm == 3] <= 5", "PP071", 1, "no cells to filter"),
    ('write.calls == "3"', "PP204", 16, "'3' is not a number"),
    ("write.calls == true", "PP204", 16, "not a number"),
    ("(1 if write.calls else 0) == 1", "PP204", 2, "not a number"),
    ("write.calls | 1 == 1", "PP204", 1, "not a number"),
    ("call.named[comm == 3] == 0", "PP204", 20, "text is compared with a number"),
    ('call.named[comm in ("a", 3)] == 0', "PP204", 26, "text is compared with a number"),
    ('call.named[comm < "a"] == 0', "PP204", 12, "text has no order"),
    ("call.named[comm] == 0", "PP204", 12, "a filter is a condition"),
    ('call.named[glob(comm, "a*")] == 0', "PP204", 12, "no meaning in a filter"),
    ("call.stacks[kstack == 3] == 0", "PP204", 13, "a stack cannot be compared"),
    ("write.calls <= 1e-400", "PP204", 16, "too small"),
    ("call.calls[number == SYS_fdatasnc] == 0", "PP022", 22, "did you mean 'SYS_fdatasync'"),
    ("call.calls <= PAGE_SIZE", "PP022", 15, "unknown constant 'PAGE_SIZE'"),
    ("total(write.calls) == 0", "PP023", 1, "total() has no meaning in expectations"),
    ("max(write.calls) == 0", "PP024", 1, "takes 2 arguments"),
    ("rare.calls == 3", "PP206", 1, "sampled 1/10"),
    ("rare.calls <= baseline", "PP206", 1, "`baseline` needs counts"),
    ("part.waits == 3", "PP206", 1, "'half' is sampled 1/2"),
    ("write.sizes.p99 <= 1.03 * baseline", "PP207", 1, "needs 3 %"),
    ("write.sizes.p99 <= baseline", "PP207", 1, "needs 0 %"),
    ("write.sizes.p50 == 4096", "PP207", 1, ""),
    ("0.5 * baseline <= write.sizes.p99 <= 1.01 * baseline", "PP207", 19, "needs 1 %"),
    ("write.took <= 1.5 * baseline", "PP208", 1, "stored baseline"),
    ("write.slowest <= 1.5 * baseline", "PP208", 1, ""),
    ('write.latency[comm == "dd"].p99 <= 2 * baseline', "PP208", 1, ""),
    ("workload.user <= 2 * baseline", "PP208", 1, ""),
    ("write.calls + 0 * workload.sys <= 2 * baseline", "PP208", 1, ""),
    ("rate <= 2 * baseline", "PP208", 1, ""),
    ("wait.time <= 2 * baseline", "PP208", 1, ""),
    ("{that: write.calls == 0, each: true}", "PP211", 8, "`by`"),
    ("{that: workload.maxrss <= 5, each: true}", "PP211", 8, ""),
    ("{that: call.calls - write.most <= 5, each: true}", "PP211", 8, "by comm and by number"),
)


@pytest.mark.parametrize(("text", "code", "column", "words"), BAD)
def test_this_is_refused(text: str, code: str, column: int, words: str) -> None:
    """With one finding at its column in the expression (after `  e1: `), in these words."""
    written = text if text.startswith("{") else f"'{text}'"
    check, findings = inspect(check_text(written))
    assert check is None
    assert [finding.code for finding in findings] == [code], shown(findings)
    assert words in str(findings[0])
    lead = 6 if text.startswith("{") else 7
    assert findings[0].position.column == lead + column


def test_two_sizes_need_values_that_can_be_subtracted() -> None:
    workload = "run: [make, $(ops)]\nops: [10, 20]"
    for value in ("write.sizes.p50", "write.least", "write.most.value", "workload.maxrss"):
        _, findings = inspect(check_text(f"{value} / ops <= 9", workload=workload))
        assert [finding.code for finding in findings] == ["PP205"], value
    for value in ("write.bytes", "write.mean", "write.sizes.count", "workload.wall"):
        assert not inspect(check_text(f"{value} / ops <= 9", workload=workload))[1], value
    assert not inspect(check_text("write.sizes.p50 <= 9", workload=workload))[1]


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ("run: [make, $(ops)]\nops: [10, 10]", "one size, 10"),
        ("run: [make, $(ops)]\nops: [10]", "one size, 10"),
        ("run: [make]\nops: [10, 20]", "nothing that runs names `$(ops)`"),
        ("run: [make]\nteardown: [[rm, $(ops)]]\nops: [10, 20]", "nothing that runs"),
    ],
)
def test_a_difference_needs_two_sizes_that_the_workload_is_given(workload: str, words: str) -> None:
    _, findings = inspect(check_text("write.calls / ops == 1", workload=workload))
    assert [finding.code for finding in findings] == ["PP205"]
    assert words in findings[0].message


def test_a_check_may_compare_with_its_params() -> None:
    before = "params: {limit: {type: int, default: 3}, name: {type: string, default: dd}}\n"
    texts = ("write.calls <= params.limit", "call.named[comm == params.name] == 0")
    assert not inspect(check_text(*texts, before=before))[1]
    _, findings = inspect(check_text("write.calls == params.name", before=before))
    assert [finding.code for finding in findings] == ["PP204"]
