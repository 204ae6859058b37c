"""When a plan has expired."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.plan.findings import HostError
from orchestrator.run.unattended.expiry import check_expiry, read_expiry


def moment(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0
) -> float:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-31", moment(2027, 1, 1)),
        ("20261231", moment(2027, 1, 1)),
        ("2026-12-31T18:00:00Z", moment(2026, 12, 31, 18)),
        ("2026-12-31T18:00+02:00", moment(2026, 12, 31, 16)),
        ("9999-12-31", moment(9999, 12, 31) + 86_400),
    ],
)
def test_a_date_lasts_until_its_end_in_utc_and_a_time_is_exact(text: str, expected: float) -> None:
    assert read_expiry(text).unix_s == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tomorrow", "is no date"),
        ("2026-13-01", "is no date"),
        ("", "is no date"),
        ("2026-12-31T18:00:00", "has no zone"),
    ],
)
def test_what_is_no_moment_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_expiry(text)


def test_the_last_second_is_allowed_and_the_next_one_is_not() -> None:
    expiry = read_expiry("2026-12-31")
    check_expiry(expiry, moment(2026, 12, 31, 23, 59, 59))
    with pytest.raises(HostError, match=r"PP260.*until 2026-12-31.*2027-01-01T00:00:00Z now"):
        check_expiry(expiry, moment(2027, 1, 1))


def test_the_zone_of_this_host_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    for zone in ("Pacific/Auckland", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            assert read_expiry("2026-12-31").unix_s == moment(2027, 1, 1)
        finally:
            monkeypatch.undo()
            time.tzset()
    assert timedelta(1).total_seconds() == 86_400
