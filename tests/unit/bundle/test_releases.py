"""The order of releases."""

from itertools import combinations

import pytest

from orchestrator.bundle.releases import is_newer_release

ORDERED = ["0.1.0.dev3", "0.1.0a1", "0.1.0b2", "0.1.0rc1", "0.1.0rc2", "0.1.0", "0.1.1", "0.2",
           "0.10.0", "1.0"]  # fmt: skip


@pytest.mark.parametrize(("older", "newer"), list(combinations(ORDERED, 2)))
def test_later_releases_are_newer(older: str, newer: str) -> None:
    assert is_newer_release(newer, older)
    assert not is_newer_release(older, newer)


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.1.0", "0.1"), ("0.1.0+local", "0.1.0"), ("unknown", "0.1.0"), ("0.1.0", "unknown")],
)
def test_equal_and_unknown_releases_are_not_newer(one: str, other: str) -> None:
    assert not is_newer_release(one, other)
    assert not is_newer_release(other, one)
