"""The probes that spans, outstanding resources and notes name, and the key that they share."""

from collections.abc import Iterator, Sequence

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.model import Plan, Probe
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.scopes import defines_name

__all__ = ["check_key", "find_probes"]


def find_probes(
    plan: Plan, path: DocumentPath, named: Sequence[str], collector: FindingCollector
) -> Iterator[tuple[Probe, DocumentPath]]:
    """The probes that the names at `path` are of, each with the place of its name; those that do
    not exist are reported."""
    known = {probe.name: probe for probe in plan.probes}
    for index, name in enumerate(named):
        at: DocumentPath = (*path, index) if (*path, index) in collector.document.places else path
        if name in known:
            yield known[name], at
        elif not collector.has_refused(("probes", name)):
            hint = suggest_name(name, known, f"probes: {', '.join(known)}")
            place = collector.document.value_position(at)
            collector.add("PP062", f"there is no probe {name!r}", place, hint)


def check_key(  # noqa: PLR0913  # whose key, of what, by whom
    plan: Plan,
    path: DocumentPath,
    key: Sequence[str],
    probes: Sequence[Probe],
    collector: FindingCollector,
    why: str = "",
) -> None:
    """Report each part of a key that one of the probes does not define; `why` follows its name."""
    for index, name in enumerate(key):
        lacking = [probe for probe in probes if not defines_name(plan, probe, name)]
        if lacking:
            place = collector.document.value_position((*path, "key", index))
            message = f"the probe {lacking[0].name!r} does not define {name!r}{why}"
            hint = f"add it: `let: {{{name.split('.')[0]}: …}}`"
            collector.add("PP062", message, place, hint)
