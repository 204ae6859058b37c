"""Spans as the program has them, compiled for recorded kernels."""

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import load_facts
from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from tests.support.paths import KERNELS, PLAN_DATA
from tests.support.shipped import every_kernel

RECORDED = KERNELS
RECIPES = PLAN_DATA / "recipes"
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: spans, summary: for tests}
"""
#: Each recipe of the language whose attach points all kernels have.
EVERYWHERE = ("off-cpu", "run-queue", "tcp-life", "block-io")


def program(text: str, kernel: str = "6.1") -> Program:
    return compile_plan(load_plan(text.encode()), load_facts(RECORDED / f"{kernel}.facts.xz"))


@every_kernel
@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_languages_own_recipes_compile(name: str, kernel: str) -> None:
    """Into C too, by bcc, for every recorded kernel."""
    from orchestrator.backends.bcc import artifact

    facts = load_facts(RECORDED / f"{kernel}.facts.xz")
    made = compile_plan(load_plan(RECIPES / f"{name}.yaml"), facts)
    [span] = made.spans
    assert span.name in artifact.emit(made, facts).text


ALTERNATIVES = """
probes:
  issue:
    task: none
    attach_first:
      - {as: request, to: "rawtracepoint:FIRST", let: {io: args.rq}}
      - as: sector
        to: tracepoint:block:block_rq_issue
        let: {io: "(args.dev, args.sector)"}
  done:
    task: none
    attach_first:
      - {as: request, to: "rawtracepoint:SECOND", let: {io: args.rq}}
      - as: sector
        to: tracepoint:block:block_rq_complete
        let: {io: "(args.dev, args.sector)"}
spans:
  io: {start: issue, end: done, key: [io], metrics: {n: {count: true}}}
"""


@pytest.mark.parametrize(
    ("first", "second", "labels"),
    [
        (
            "block_rq_issue",
            "block_rq_complete",
            ["rawtracepoint:block_rq_issue", "rawtracepoint:block_rq_complete"],
        ),
        (
            "block_rq_issue",
            "no_such_event",
            ["tracepoint:block:block_rq_issue", "tracepoint:block:block_rq_complete"],
        ),
        (
            "no_such_event",
            "block_rq_complete",
            ["tracepoint:block:block_rq_issue", "tracepoint:block:block_rq_complete"],
        ),
    ],
)
def test_alternatives_of_one_tag_are_chosen_together(
    first: str, second: str, labels: list[str]
) -> None:
    """A start keyed by the request never meets an end keyed by the sector: where one probe lacks
    an alternative, all take the other."""
    made = program(HEAD + ALTERNATIVES.replace("FIRST", first).replace("SECOND", second))
    assert [hook.label for hook in made.hooks] == labels
    sizes = {len(use.key) for hook in made.hooks for use in hook.body.spans}
    assert sizes == ({1} if "raw" in labels[0] else {2})


def test_only_what_the_end_asks_for_is_kept() -> None:
    """Of the start's definitions, those that the span's expressions name, once each."""
    made = program(
        HEAD
        + """
probes:
  out: {attach: "rawtracepoint:sched_switch", let: {a: 1, b: tid, c: comm}}
  back: {attach: "rawtracepoint:sched_switch", task: args.next}
spans:
  s:
    start: out
    end: back
    key: [tid]
    where: start.b != 0
    emit: {b: start.b, who: start.comm}
"""
    )
    [span] = made.spans
    assert [kept.name for kept in span.kept] == ["start.b", "start.comm"]
    assert not span.timed


def test_the_target_is_tested_at_the_start_alone() -> None:
    """At later events of a span whose start has a task, no one asks again whose it is."""
    made = program(
        HEAD
        + """
target: {comm: postgres}
probes:
  out: {attach: "rawtracepoint:sched_switch"}
  back: {attach: "rawtracepoint:sched_switch", task: args.next}
spans:
  s: {start: out, end: back, key: [tid], emit: {}}
"""
    )
    assert [hook.body.tests_target for hook in made.hooks] == [True, False]
    assert not made.spans[0].tests_target


def test_a_probe_that_ends_a_span_keeps_nothing_of_its_own_under_a_target() -> None:
    """Its own records would be those of tasks that no one asked for."""
    with pytest.raises(PlanError, match="PP063"):
        program(
            HEAD
            + """
target: {comm: postgres}
probes:
  out: {attach: "rawtracepoint:sched_switch"}
  back: {attach: "rawtracepoint:sched_switch", task: args.next, emit: {}}
spans:
  s: {start: out, end: back, key: [tid], emit: {}}
"""
        )


@pytest.mark.parametrize("pair", [("comm", "tid"), ("(cpu, tid)", "(cpu, tid, pid)")])
def test_keys_of_different_shapes_do_not_join(pair: tuple[str, str]) -> None:
    with pytest.raises(PlanError, match="PP090"):
        program(
            HEAD
            + f"""
probes:
  out: {{attach: "rawtracepoint:sched_switch", let: {{id: "{pair[0]}"}}}}
  back: {{attach: "rawtracepoint:sched_switch", let: {{id: "{pair[1]}"}}}}
spans:
  s: {{start: out, end: back, key: [id], emit: {{}}}}
"""
        )


def test_what_is_kept_is_shown_as_its_start_says() -> None:
    """Flags and names of numbers go along to the record that the end makes."""
    made = program(
        HEAD
        + """
probes:
  out:
    attach: rawtracepoint:sched_switch
    let: {opened: 'flags(tid, "O_")', failed: errno(tid)}
  back: {attach: "rawtracepoint:sched_switch", task: args.next}
spans:
  s: {start: out, end: back, key: [tid], emit: {opened: start.opened, failed: start.failed}}
"""
    )
    emit = made.spans[0].emit
    assert emit is not None
    opened, failed = (field.presentation for field in emit.fields)
    assert opened is not None
    assert failed is not None
    assert (opened.form, opened.prefix) == ("flags", "O_")
    assert failed.form == "errno"
