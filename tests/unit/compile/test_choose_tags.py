"""Alternatives of one span are chosen together."""

from orchestrator.compile.choose_tags import choose_tags, with_tag
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan, Probe

PLAN = b"""
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: tags, summary: Tags}
probes:
  begin:
    attach_first:
      - {to: "function:new_begin", as: new}
      - {to: "function:old_begin", as: old}
  finish:
    attach_first:
      - {to: "function:new_finish", as: new}
      - {to: "function:old_finish", as: old}
spans:
  work: {start: begin, end: finish, key: [tid], emit: {took: elapsed}}
"""


def plan() -> Plan:
    """Two probes of one span, each with two tags."""
    return load_plan(PLAN)


def resolving(*targets: str):  # type: ignore[no-untyped-def]
    """Whether all attach points of a probe are among `targets`."""

    def resolves(probe: Probe) -> bool:
        return all(item.target in targets for item in probe.items)

    return resolves


def test_the_first_tag_with_which_every_probe_resolves_is_taken() -> None:
    """One probe alone could have taken `new`."""
    kernel = resolving("new_begin", "old_begin", "old_finish")
    assert choose_tags(plan(), kernel) == {"begin": "old", "finish": "old"}


def test_where_none_does_the_first_tag_gives_its_reasons() -> None:
    """Refusals then name what the plan prefers."""
    assert choose_tags(plan(), resolving()) == {"begin": "new", "finish": "new"}


def test_a_tag_keeps_items_without_any() -> None:
    """Only items of other tags are left out."""
    probe = with_tag(plan().probes[0], "old")
    assert [item.target for item in probe.items] == ["old_begin"]
