"""Attachments, which several sides may share."""

from orchestrator.backends.bcc.design.layout import MapLayout
from orchestrator.backends.bcc.handles.attachment import (
    AttachedSide,
    Attachment,
    distinct_attachments,
    sides_by_program,
)
from tests.support.bcc_maps import recorded_program

PLAN = """
probes:
  a: {attach: "rawtracepoint:sched_switch", metrics: {n: {count: true}}}
  b: {attach: "rawtracepoint:sched_switch", metrics: {n: {count: true}}}
  c: {attach: "rawtracepoint:sched_wakeup", metrics: {n: {count: true}}}
"""


def test_sides_of_one_program_share_its_attachment() -> None:
    """Two equal attachments of different programs are two."""
    first, second = (Attachment(mechanism="raw tracepoint", place="x") for _ in range(2))
    a, b, c = (
        AttachedSide(side=side, program=program, attachment=attachment)
        for side, program, attachment in zip(
            MapLayout(recorded_program(PLAN)).sides, (5, 5, 6), (first, first, second), strict=True
        )
    )
    assert sides_by_program([a, b, c]) == [[a, b], [c]]
    distinct = distinct_attachments([a, b, c])
    assert [id(attachment) for attachment in distinct] == [id(first), id(second)]


def test_the_name_of_an_event_has_no_group() -> None:
    """As the kernel's profiles list it."""
    [side, *_] = MapLayout(recorded_program(PLAN)).sides
    event = Attachment(mechanism="dynamic event", place="x", events=("probeplan_1/pp_1_0_hit",))
    assert AttachedSide(side=side, program=1, attachment=event).event == "pp_1_0_hit"
    raw = Attachment(mechanism="raw tracepoint", place="x")
    assert AttachedSide(side=side, program=1, attachment=raw).event == ""
