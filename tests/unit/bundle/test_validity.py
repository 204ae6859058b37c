"""When and where a bundle may be used."""

import pytest

from orchestrator.bundle.validity import check_bundle_arch, check_bundle_times
from orchestrator.plan.findings import HostError
from tests.support.bundles import make_bundle

BUNDLE = make_bundle(created=1_790_000_000, expires=1_800_000_000)


@pytest.mark.parametrize("now", [1_790_000_000, 1_795_000_000.5, 1_799_999_999.9])
def test_a_bundle_is_good_from_its_creation_until_it_expires(now: float) -> None:
    check_bundle_times(BUNDLE, now)
    check_bundle_times(make_bundle(expires=None), 1 << 60)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (1_800_000_000, "it expired at 2027-01-15T08:00:00Z"),
        (1 << 60, "it expired at"),
        (1_789_999_999.9, "built at 2026-09-21T14:13:20Z, and the clock here is at 2026-09-21"),
        (0, "the clock here is at 1970-01-01T00:00:00Z"),
    ],
)
def test_before_and_after_that_it_is_refused(now: float, why: str) -> None:
    """Without an end, too, a clock before its creation is wrong."""
    with pytest.raises(HostError, match=why) as refused:
        check_bundle_times(BUNDLE, now, "some.ppb")
    [finding] = refused.value.findings
    assert (finding.code, finding.position.file) == ("PP243", "some.ppb")


def test_times_beyond_the_calendar_are_shown() -> None:
    with pytest.raises(HostError, match=f"built at {1 << 61} s after 1970"):
        check_bundle_times(make_bundle(created=1 << 61, expires=None), 0)


def test_another_architecture_is_refused() -> None:
    check_bundle_arch(BUNDLE, "x86_64")
    with pytest.raises(HostError, match="for x86_64, and this host is aarch64") as refused:
        check_bundle_arch(BUNDLE, "aarch64", "some.ppb")
    [finding] = refused.value.findings
    assert (finding.code, finding.position.file) == ("PP243", "some.ppb")
