"""Variants of a kernel: what may be changed is, and nothing else is another kernel's."""

import pytest

from orchestrator.bundle.variants import list_variants, without_trampolines
from tests.support.recorded import recorded

BOTH = ("as recorded", "none")


@pytest.mark.parametrize(
    ("kernel", "variants"),
    [
        ("6.1", [(fetching, trampolines) for fetching in BOTH for trampolines in BOTH]),
        ("5.10", [(fetching, t) for fetching in ("as recorded", "added") for t in BOTH]),
        ("6.18-no-kprobes", [(fetching, "as recorded") for fetching in BOTH]),
    ],
)
def test_fetching_atomics_are_taken_away_or_added_and_trampolines_taken_away(
    kernel: str, variants: list
) -> None:
    """5.10 has no fetching atomics, and this 6.18 no trampolines."""
    assert [(v.fetching, v.trampolines) for v in list_variants(recorded(kernel))] == variants
    assert [v.as_recorded for v in list_variants(recorded(kernel))] == [
        True,
        *[False] * (len(variants) - 1),
    ]


@pytest.mark.parametrize(("kernel", "fetches"), [("6.1", "as recorded"), ("5.10", "added")])
def test_a_variant_differs_in_what_was_changed(kernel: str, fetches: str) -> None:
    for variant in list_variants(recorded(kernel)):
        assert bool(variant.facts.feature("fetch_atomics")) == (variant.fetching == fetches)
        assert bool(variant.facts.feature("fentry")) == (variant.trampolines != "none")
        others = set(variant.facts.features) - {"fetch_atomics", "fentry"}
        assert all(variant.facts.feature(o) == recorded(kernel).feature(o) for o in others)


def test_a_recording_is_read_once_for_all_variants() -> None:
    assert len({id(variant.facts.btf) for variant in list_variants(recorded("6.1"))}) == 1


def test_the_kernel_itself_keeps_its_features() -> None:
    without = without_trampolines(recorded("6.1"), "refused")
    assert without.feature("fentry").detail == "refused"
    assert not without.feature("fentry")
    assert recorded("6.1").feature("fentry")
