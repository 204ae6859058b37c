"""The variants of a kernel: what a plan comes to there, and on a host that may do less.

A bundle serves hosts whose kernels lack fetching atomics (5.10), and hosts where root may not
attach trampolines, whether or not such a kernel was recorded. Pure.
"""

from collections.abc import Mapping

from orchestrator.bundle.model import Fetching, Trampolines
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import Feature, no
from orchestrator.values import dataclass

__all__ = ["Variant", "list_variants", "without_trampolines"]

_FETCHING = "fetch_atomics"
_TRAMPOLINES = "fentry"
_ASSUMED = "the host may lack them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One kernel as recorded, or without what it has: `facts` say so."""

    fetching: Fetching
    trampolines: Trampolines
    facts: KernelFacts

    @property
    def as_recorded(self) -> bool:
        """Whether nothing is taken away."""
        return self.fetching == self.trampolines == "as recorded"


def list_variants(facts: KernelFacts) -> tuple[Variant, ...]:
    """The kernel as recorded first, then without trampolines, without fetching atomics, without
    both. What the kernel lacks anyway is not taken away."""
    _ = facts.btf  # read once, for all variants
    can_fetch, has_trampolines = (bool(facts.feature(f)) for f in (_FETCHING, _TRAMPOLINES))
    axes = [
        (fetching, trampolines)
        for fetching in _list_choices(there=can_fetch)
        for trampolines in _list_choices(there=has_trampolines)
    ]
    return tuple(
        Variant(
            fetching=fetching,
            trampolines=trampolines,
            facts=_take_away(facts, fetching, trampolines),
        )
        for fetching, trampolines in axes
    )


def without_trampolines(facts: KernelFacts, why: str = _ASSUMED) -> KernelFacts:
    """The same kernel without trampolines, by which all functions take their next mechanism."""
    return facts.with_features({_TRAMPOLINES: no(why)})


def _list_choices(*, there: bool) -> tuple[Fetching, ...]:
    return ("as recorded", "none") if there else ("as recorded",)


def _take_away(facts: KernelFacts, fetching: Fetching, trampolines: Trampolines) -> KernelFacts:
    missing: Mapping[str, Feature] = {
        name: no(_ASSUMED)
        for name, choice in ((_FETCHING, fetching), (_TRAMPOLINES, trampolines))
        if choice == "none"
    }
    return facts.with_features(missing) if missing else facts
