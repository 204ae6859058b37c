"""The plan of a check: shipped, in a file, or part of the check."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.plan.build import Overrides
from orchestrator.plan.document.document_paths import DocumentPath, EntryPosition
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import Document
from orchestrator.plan.findings import Finding, Position, has_errors
from orchestrator.plan.load import plan_from_document, read_document
from orchestrator.plan.model import Plan
from orchestrator.run.shipped import shipped_plans

__all__ = ["read_inner_plan"]

_PLAN: DocumentPath = ("plan",)


def read_inner_plan(
    source: str | Mapping[str, Any],
    settings: Mapping[str, str],
    here: Path,
    collector: FindingCollector,
) -> Plan | None:
    """The plan that `source`, the value of `plan`, means, with these values for its params. What
    is wrong with it is reported; then there is no plan."""
    overrides = Overrides(settings=settings)
    document, findings = _read_source(source, here, collector)
    plan = None
    if document is not None:
        plan, findings = plan_from_document(document, findings, overrides)
        if plan is not None:
            findings = [*findings, *_find_unset_params(plan, collector)]
    collector.extend(_place_in_check(finding, collector) for finding in findings)
    return None if has_errors(findings) else plan


def _read_source(
    source: str | Mapping[str, Any], here: Path, collector: FindingCollector
) -> tuple[Document | None, list[Finding]]:
    if not isinstance(source, str):
        return _cut_document(source, collector.document), []
    if "/" in source or source.endswith((".yaml", ".yml")):
        return read_document(here / source)
    plans = shipped_plans()
    if source in plans:
        return read_document(plans[source])
    from orchestrator.catalog.answers import hint_at_plans  # only for errors
    from orchestrator.catalog.index import read_index

    position = collector.document.value_position(_PLAN)
    hint = f"write ./NAME for a file next to the check; {hint_at_plans(source, read_index())}"
    message = f"there is no shipped plan {source!r}"
    return None, [Finding(code="PP001", message=message, position=position, hint=hint)]


def _cut_document(body: Mapping[str, Any], check: Document) -> Document:
    """The part of a check that is a plan, as a document with the check's positions."""
    metadata = check.data.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    head = {
        "apiVersion": "probeplan/v1",
        "kind": "ProbePlan",
        "metadata": {
            "name": str(named.get("name", "check")),
            "summary": str(named.get("summary", "A check")),
        },
    }
    return Document(
        data={**head, **body},
        places={path[1:]: place for path, place in check.places.items() if path[:1] == _PLAN}
        or {(): EntryPosition(key=check.key_position(_PLAN), value=check.value_position(_PLAN))},
        file=check.file,
        source=check.source,
        lost=frozenset(path[1:] for path in check.lost if path[:1] == _PLAN),
        folded=frozenset(path[1:] for path in check.folded if path[:1] == _PLAN),
    )


def _find_unset_params(plan: Plan, collector: FindingCollector) -> list[Finding]:
    """Params without a value, but for those whose value in `set` was refused, or is that of a param
    of the check which has none yet."""
    given = collector.document.data.get("set")
    place = collector.document.key_position(("set",) if "set" in collector.document.data else _PLAN)
    return [
        Finding(
            code="PP068",
            message=f"the plan's param {param.name!r} has no value",
            position=place,
            hint=f"give it one: `set: {{{param.name}: …}}`",
        )
        for param in plan.params.values()
        if param.value is None
        and not (isinstance(given, dict) and param.name in given)
        and not collector.has_refused(("set", param.name))
    ]


def _place_in_check(finding: Finding, collector: FindingCollector) -> Finding:
    """A finding about `--set NAME` is one about the check's `set`."""
    option, _, name = finding.position.file.partition(" ")
    if option != "--set":
        return finding
    place: Position = collector.document.value_position(("set", name))
    return replace(finding, position=place)
