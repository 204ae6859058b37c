"""The variants of a kernel: what a plan comes to there, and on a host that may do less or more.

A bundle serves hosts whose kernels lack fetching atomics (5.10) or are the first that have them
(5.12), and hosts where root may not attach trampolines, whether or not such a kernel was recorded.
Pure.
"""

import itertools

from orchestrator.bundle.model import Fetching, Trampolines
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import Feature, no, yes
from orchestrator.values import dataclass

__all__ = ["Variant", "list_variants", "without_trampolines"]

_FETCHING = "fetch_atomics"
_TRAMPOLINES = "fentry"
_ASSUMED = "the host may lack them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One kernel as recorded, or without what it has, or with what it lacks: `facts` say so."""

    fetching: Fetching
    trampolines: Trampolines
    facts: KernelFacts

    @property
    def as_recorded(self) -> bool:
        """Whether nothing is taken away."""
        return self.fetching == self.trampolines == "as recorded"


def list_variants(facts: KernelFacts) -> tuple[Variant, ...]:
    """The kernel as recorded first, then without trampolines, with the other answer to whether it
    has fetching atomics, and with both changed. Trampolines that it lacks are not added: which
    functions they could be attached to is not known."""
    _ = facts.btf  # read once, for all variants
    fetchings: tuple[Fetching, ...] = (
        ("as recorded", "none") if facts.feature(_FETCHING) else ("as recorded", "added")
    )
    trampolines: tuple[Trampolines, ...] = (
        ("as recorded", "none") if facts.feature(_TRAMPOLINES) else ("as recorded",)
    )
    axes = itertools.product(fetchings, trampolines)
    return tuple(
        Variant(
            fetching=fetching,
            trampolines=trampolines,
            facts=_change(facts, fetching, trampolines),
        )
        for fetching, trampolines in axes
    )


def without_trampolines(facts: KernelFacts, why: str = _ASSUMED) -> KernelFacts:
    """The same kernel without trampolines, by which all functions take their next mechanism."""
    return facts.with_features({_TRAMPOLINES: no(why)})


def _change(facts: KernelFacts, fetching: Fetching, trampolines: Trampolines) -> KernelFacts:
    changed: dict[str, Feature] = {}
    if fetching != "as recorded":
        changed[_FETCHING] = no(_ASSUMED) if fetching == "none" else yes("the host may have them")
    if trampolines == "none":
        changed[_TRAMPOLINES] = no(_ASSUMED)
    return facts.with_features(changed) if changed else facts
