"""How many attach points of each kind a kernel has."""

from orchestrator.discovery.query import PointQuery
from orchestrator.discovery.search import find_by_query
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS, AttachKind
from orchestrator.values import dataclass

__all__ = ["KindCount", "count_by_kind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCount:
    """A kind, how many attach points of it can be attached to (None: they are in files, have no
    names, or cannot be seen), and how a plan writes them."""

    kind: AttachKind
    count: int | None
    form: str


def count_by_kind(facts: KernelFacts) -> tuple[KindCount, ...]:
    """A row for each kind of this release. Kinds that attach to the same places have the same
    count."""
    by_site: dict[str, int | None] = {}
    return tuple(_count_kind(kind, facts, by_site) for kind in ATTACH_KINDS)


def _count_kind(kind: AttachKind, facts: KernelFacts, by_site: dict[str, int | None]) -> KindCount:
    traits = KINDS[kind]
    if traits.site not in by_site:
        by_site[traits.site] = _count_names(kind, facts)
    form = f"{kind}:{traits.form}, e.g. {kind}:{traits.example}"
    return KindCount(kind=kind, count=by_site[traits.site], form=form)


def _count_names(kind: AttachKind, facts: KernelFacts) -> int | None:
    if KINDS[kind].site in ("user code", "timer"):
        return None
    query = PointQuery(text=f"{kind}:*", kinds=(kind,), named=True)
    search = find_by_query(query, facts)
    if search.problems and KINDS[kind].site != "kernel function":
        return None  # they cannot be seen
    return sum(not point.refused for point in search.points)
