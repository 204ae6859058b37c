"""Every target, a few hundred cases each: damaged seeds, always the same ones."""

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Hang, Target, limited
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.slow

Edit = Callable[[bytes], bytes]
#: Cases a target: about two seconds each.
_CASES = {"plans": 150, "pages": 150, "expressions": 300, "debug_info": 150}


def _edits(target: Target) -> st.SearchStrategy[Edit]:
    """Ways to damage a case: bytes and words put over, in or away, pieces said twice, the end cut
    off."""
    pieces = st.binary(max_size=9)
    if target.words:
        pieces |= st.sampled_from(target.words)
    places = st.integers(0, 1 << 16)

    def put_over(at: int, piece: bytes) -> Edit:
        return lambda data: _split(data, at)[0] + piece + _split(data, at)[1][len(piece) :]

    def put_in(at: int, piece: bytes) -> Edit:
        return lambda data: piece.join(_split(data, at))

    def twice(at: int, size: int) -> Edit:
        return lambda data: data[: at % (len(data) + 1) + size] + _split(data, at)[1]

    def away(at: int, size: int) -> Edit:
        return lambda data: _split(data, at)[0] + _split(data, at)[1][size:]

    def cut(at: int) -> Edit:
        return lambda data: _split(data, at)[0]

    sizes = st.integers(1, 40)
    changed = [st.builds(put_over, places, pieces), st.builds(put_in, places, pieces)]
    moved = [st.builds(twice, places, sizes), st.builds(away, places, sizes)]
    return st.one_of(*changed, *changed, *moved, st.builds(cut, places))


def _split(data: bytes, at: int) -> tuple[bytes, bytes]:
    at %= len(data) + 1
    return data[:at], data[at:]


@cache
def _cases(name: str) -> st.SearchStrategy[bytes]:
    target = TARGETS[name]

    def damaged(seed: bytes, edits: list[Edit]) -> bytes:
        for edit in edits:
            seed = edit(seed)
        return seed[: target.longest]

    return st.builds(damaged, st.sampled_from(target.seeds()), st.lists(_edits(target), max_size=4))


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_no_faults(name: str) -> None:
    """What is right is read, and what the kernel and the compiler wrote is right."""
    for seed in TARGETS[name].seeds():
        with limited():
            TARGETS[name].check(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_cases_are_no_faults(name: str) -> None:
    """No crash, no hang, no undocumented exception, no wrong length: see each target's check."""

    @settings(
        max_examples=_CASES.get(name, 400),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_cases(name))
    def run(data: bytes) -> None:
        with limited():
            TARGETS[name].check(data)

    run()


def test_a_hang_is_told() -> None:
    """The limit that cases run under ends a loop without end."""
    with pytest.raises(Hang), limited(0.05):
        _for_ever()


def _for_ever() -> None:
    while True:
        pass
