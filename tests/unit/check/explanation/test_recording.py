"""The plan that records what a failed expectation counts."""

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.expectation.references import MetricReference, PlanNames
from orchestrator.check.explanation.recording import ExtraField, make_recording
from orchestrator.check.model import Check
from orchestrator.plan.model import Plan
from tests.support.checks import good_check


def references(check: Check) -> list[MetricReference]:
    names = PlanNames(check.plan)
    return [
        one
        for each in check.expectations
        for one in names.list_metrics(read_claim(each.that).subject)
    ]


def recording(text: str, *extra: ExtraField, only_recorded: bool = False, plan: str = "") -> Plan:
    check = good_check(text, plan=plan) if plan else good_check(text)
    return make_recording(
        check.plan,
        references(check),
        extra=extra,
        duration_ns=5_000_000_000,
        only_recorded=only_recorded,
    )


def fields(plan: Plan, owner: str) -> dict[str, str] | None:
    emits = {probe.name: probe.emit for probe in plan.probes}
    emit = {**emits, **{span.name: span.emit for span in plan.spans}}[owner]
    return None if emit is None else {name: expr.text for name, expr in emit.items()}


def test_only_the_probes_that_are_read_are_attached_and_count_nothing() -> None:
    plan = recording("call.calls[number == SYS_fsync] == 0")
    assert [probe.name for probe in plan.probes] == ["call"]
    assert not any(probe.metrics for probe in plan.probes)
    assert (plan.spans, plan.derive, plan.outstanding) == ((), (), ())


def test_records_have_the_keys_the_condition_and_the_value_of_the_metrics() -> None:
    plan = recording("call.failed + write.most == 0")
    assert fields(plan, "call") == {
        "explained_key_number": "number",
        "explained_counted_failed": "(args.ret < 0)",
    }
    assert fields(plan, "write") == {"explained_key_comm": "comm", "explained_value_most": "retval"}


def test_a_span_records_and_its_probes_do_not() -> None:
    plan = recording("wait.waits <= 5")
    assert fields(plan, "wait") == {}
    assert {probe.name: probe.emit for probe in plan.probes} == {"begin": None, "end": None}


OWN = """\
plan:
  probes:
    a:
      attach: syscall:fsync
      emit: {fd: args.fd, result: retval}
      metrics: {calls: {count: true, by: [comm]}}
    b: {attach: "syscall:close", metrics: {calls: {count: true, by: [comm]}}}
"""


def test_the_plans_own_fields_stay_as_they_are() -> None:
    added = ExtraField("a", "fd", "1"), ExtraField("a", "ustack", "ustack")
    plan = recording("a.calls + b.calls <= 5", *added, plan=OWN)
    assert fields(plan, "a") == {
        "explained_key_comm": "comm",
        "fd": "args.fd",
        "ustack": "ustack",
        "result": "retval",
    }
    assert fields(plan, "b") == {"explained_key_comm": "comm"}


def test_where_only_the_plans_records_are_allowed_other_probes_make_none() -> None:
    plan = recording("a.calls + b.calls <= 5", only_recorded=True, plan=OWN)
    assert fields(plan, "a") is not None
    assert fields(plan, "b") is None


def test_a_bound_in_time_and_a_cap_that_does_not_end_the_counting() -> None:
    limits = recording("call.calls <= 5").limits
    assert (limits.duration_ns, limits.at_cap, limits.events) == (5_000_000_000, "mute", 100_000)
