"""Prices are measured once a kernel and processor, and have documented defaults."""

from pathlib import Path

import pytest

from orchestrator.backends import prices
from orchestrator.backends.prices import DEFAULTS, Price, file_name_of, look_up_prices


def test_prices_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be measured has its documented default, and is not kept."""
    monkeypatch.setattr(prices, "_prices_file", lambda: tmp_path / "prices")
    asked: list[str] = []

    def measure(kind: str) -> tuple[float, float] | None:
        asked.append(kind)
        return (50.0, 20.0) if kind == "kprobe" else None

    for _ in range(2):
        by_kind = look_up_prices(["kprobe", "uprobe"], measure)
        assert by_kind["kprobe"] == Price(ns=50.0, run_ns=20.0, calibrated=True)
        assert by_kind["uprobe"] == Price(ns=DEFAULTS["uprobe"], calibrated=False)
    assert asked == ["kprobe", "uprobe", "uprobe"]


def test_nothing_is_measured_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would cost every run the time."""
    monkeypatch.setattr(prices, "_prices_file", lambda: None)
    by_kind = look_up_prices(["event"], lambda _kind: pytest.fail("measured"))
    assert by_kind == {"event": Price(ns=DEFAULTS["event"], calibrated=False)}


@pytest.mark.parametrize("text", ["", "[1]", '{"kprobe": 5}', '{"kprobe": [-1, 0], "x": [1, 1]}'])
def test_a_damaged_file_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    file = tmp_path / "prices"
    file.write_text(text)
    monkeypatch.setattr(prices, "_prices_file", lambda: file)
    by_kind = look_up_prices(["kprobe"], lambda _kind: (7.0, 0.0))
    assert by_kind == {"kprobe": Price(ns=7.0, calibrated=True)}


def test_an_absurd_measurement_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "_prices_file", lambda: tmp_path / "prices")
    by_kind = look_up_prices(["kprobe"], lambda _kind: (1e9, 0.0))
    assert by_kind["kprobe"].calibrated is False


def test_kernels_and_processors_have_files_of_their_own() -> None:
    names = {
        file_name_of(release, model)
        for release in ("6.1", "6.2")
        for model in ("model name: a", "model name: b")
    }
    assert len(names) == 4
