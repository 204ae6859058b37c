"""Globs in attach points of every kind match names of this kernel and host."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.compile.expressions.nodes import Const
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.bcc_runs import build
from tests.support.binaries import build_twins
from tests.support.paths import WORKLOADS
from tests.support.recorded import HEAD, recorded

Compile = Callable[..., Program]


def labels(program: Program) -> list[str]:
    return [hook.label for hook in program.hooks]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with three USDT probes and the functions give, take and main."""
    return build(WORKLOADS / "texts.c", tmp_path_factory.mktemp("texts") / "texts")


@pytest.mark.parametrize(
    ("attach", "names"),
    [
        ("tracepoint:sched:sched_wakeup*", ["sched_wakeup", "sched_wakeup_new"]),
        ("tracepoint:*:sched_wakeup_n?w", ["sched_wakeup_new"]),
        ("rawtracepoint:sched_wakeup*", ["sched_wakeup", "sched_wakeup_new"]),
        ("syscall:preadv*", ["preadv", "preadv2"]),
        ("syscall:*openat?", ["openat2"]),
        ("function:vfs_rea?", ["vfs_read"]),
    ],
)
def test_names_of_the_kernel_are_matched(compiled: Compile, attach: str, names: list[str]) -> None:
    """Each is a hook, in order, with its own `func`."""
    program = compiled(
        f"probes: {{p: {{attach: '{attach}', metrics: {{n: {{count: true, by: [func]}}}}}}}}"
    )
    assert [label.rpartition(":")[2] for label in labels(program)] == names
    (part,) = program.metrics[0].key
    assert part.presentation is not None
    assert list(part.presentation.names.values()) == names


def test_attach_points_of_one_name_have_one_key(compiled: Compile, tmp_path: Path) -> None:
    """Also where others are between them, and by which kind they are attached."""
    twins = build_twins(tmp_path)
    program = compiled(f"""
probes:
  other: {{attach: "syscall:close", emit: {{x: func}}}}
  p:
    attach_all:
      - uprobe:{twins}:twin
      - uprobe:{twins}:main
      - tracepoint:sched:sched_switch
      - rawtracepoint:sched_switch
    metrics: {{n: {{count: true, by: [func]}}}}
""")
    (part,) = program.metrics[0].key
    assert part.presentation is not None
    keys = [hook.body.metrics[0].key[0] for hook in program.hooks if hook.body.metrics]
    assert all(isinstance(key, Const) for key in keys)
    names = [part.presentation.names[key.value] for key in keys if isinstance(key, Const)]
    assert names == ["twin", "twin", "main", "sched_switch", "sched_switch"]
    assert sorted(part.presentation.names.values()) == ["main", "sched_switch", "twin"]


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("usdt:{}:texts:glob_*", ["glob_one", "glob_two"]),
        ("usdt:{}:t*:text", ["text"]),
        ("uprobe:{}:?ive", ["give"]),
        ("ufunction:{}:ta*", ["take"]),
        ("uretprobe:{}:*ive", ["give"]),
    ],
)
def test_names_of_a_file_are_matched(
    compiled: Compile, texts: Path, target: str, names: list[str]
) -> None:
    program = compiled(f"probes: {{p: {{attach: '{target.format(texts)}', emit: {{}}}}}}")
    assert [label.rpartition(":")[2] for label in labels(program)] == names


def test_several_names_of_one_function_are_one_attach_point(compiled: Compile) -> None:
    """libc has aliases; counting both would count each call twice."""
    program = compiled("probes: {p: {attach: 'uprobe:libc.so.6:*malloc', emit: {}}}")
    places = [hook.file_offset for hook in program.hooks]
    assert len(places) == len(set(places)) > 0


@pytest.mark.parametrize(
    ("attach", "code"),
    [
        ("tracepoint:sched:no_such_*", "PP080"),
        ("rawtracepoint:no_such_*", "PP080"),
        ("syscall:no_such_*", "PP080"),
        ("usdt:{}:texts:no_such_*", "PP080"),
        ("uprobe:{}:no_such_*", "PP080"),
        ("tracepoint:syscalls:*", "PP094"),
        ("syscall:*", "PP094"),
        ("rawtracepoint:*", "PP094"),
        ("uprobe:libc.so.6:*", "PP094"),
    ],
)
def test_none_and_too_many_are_findings(
    compiled: Compile, texts: Path, attach: str, code: str
) -> None:
    """With the pattern as written; never a part of what matches."""
    target = attach.format(texts)
    try:
        compiled(f"probes: {{p: {{attach: '{target}', emit: {{}}}}}}")
    except (PlanError, HostError) as refused:
        [finding] = refused.findings
    else:
        pytest.fail("nothing was refused")
    assert finding.code == code
    assert repr(target.partition(":")[2]) in finding.message


def test_files_of_a_recorded_host_are_accepted_as_written() -> None:
    """Its USDT probes take any operands that a probe can have, and its functions any name."""
    plan = """
probes:
  a: {attach: "usdt:/usr/sbin/none-such:mysql:query__start", emit: {x: str(arg0)}}
  b: {attach: {to: "usdt:/usr/sbin/none-such:mysql:*", args: {q: "char *"}}, emit: {x: str(args.q)}}
  c: {attach: "uprobe:/usr/sbin/none-such:*_query", emit: {}}
"""
    program = compile_plan(load_plan((HEAD + plan).encode()), recorded("6.1"))
    assert labels(program) == [
        "usdt:/usr/sbin/none-such:mysql:query__start",
        "usdt:/usr/sbin/none-such:mysql:*",
        "uprobe:/usr/sbin/none-such:*_query",
    ]


def test_of_an_optional_glob_those_without_a_field_are_left_out() -> None:
    """sched_wake_idle_without_ipi has no pid. The others are attached, and each that is not is
    reported; without `optional` the finding says how to do without it."""
    probe = "p: {%sattach: 'tracepoint:sched:sched_wake*', emit: {x: args.pid, f: func}}"
    plan = load_plan(f"{HEAD}probes:\n  {probe % 'optional: true, '}".encode())
    program = compile_plan(plan, recorded("6.1"))
    assert labels(program) == [
        "tracepoint:sched:sched_wakeup",
        "tracepoint:sched:sched_wakeup_new",
    ]
    assert [hook.id for hook in program.hooks] == [0, 1]
    [skipped] = program.skipped
    assert skipped.item == "tracepoint:sched:sched_wake_idle_without_ipi"
    assert "has no argument 'pid'" in skipped.reason
    with pytest.raises(HostError, match=r"has no argument 'pid'\n.*narrow the glob, or leave out"):
        compile_plan(load_plan(f"{HEAD}probes:\n  {probe % ''}".encode()), recorded("6.1"))


def test_an_optional_glob_of_which_none_has_a_field_is_left_out_whole() -> None:
    plan = load_plan(
        f"""{HEAD}probes:
  p: {{optional: true, attach: "tracepoint:sched:sched_wake*", emit: {{x: args.nothing}}}}
  q: {{attach: "syscall:close", emit: {{}}}}""".encode()
    )
    program = compile_plan(plan, recorded("6.1"))
    assert labels(program) == ["syscall:close"]
    assert [skipped.item for skipped in program.skipped] == ["tracepoint:sched:sched_wake*"]


def test_a_glob_that_matches_nothing_names_what_is_near(compiled: Compile) -> None:
    with pytest.raises(HostError, match=r"there is .*sched:sched_swi.*; .*probeplan list"):
        compiled("probes: {p: {attach: 'tracepoint:sched:sched_swich*', emit: {}}}")


def test_events_may_begin_with_a_digit(compiled: Compile) -> None:
    program = compiled("probes: {p: {attach: 'tracepoint:9p:9p_client_re?', emit: {t: args.tag}}}")
    assert labels(program) == ["tracepoint:9p:9p_client_req", "tracepoint:9p:9p_client_res"]
