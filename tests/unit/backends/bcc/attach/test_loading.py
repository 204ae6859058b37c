"""Programs that are loaded ahead by several threads."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.backends.bcc.attach.loading import LoadingAhead


def count_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def open_null() -> int:
    return os.open(os.devnull, os.O_RDONLY)


@pytest.fixture(params=[1, 4])
def cpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """With one CPU, the thread that takes programs loads them."""
    number: int = request.param
    monkeypatch.setattr(os, "cpu_count", lambda: number)
    return number


def test_each_program_is_loaded_once_and_is_its_takers(cpus: int) -> None:
    """In whatever order they are taken."""
    loaded: list[str] = []

    def loader(name: str) -> Callable[[], int]:
        def load() -> int:
            loaded.append(name)
            return open_null()

        return load

    names = [f"p{number}" for number in range(20)]
    ahead = LoadingAhead({name: loader(name) for name in names})
    taken = [ahead.take(name) for name in reversed(names)]
    ahead.close()
    assert sorted(loaded) == sorted(names)
    assert len(set(taken)) == 20
    for descriptor in taken:
        os.close(descriptor)
    assert cpus


def test_what_fails_is_raised_where_it_is_taken_and_the_rest_is_unloaded(cpus: int) -> None:
    def refuse() -> int:
        raise ValueError("refused")

    before = count_descriptors()
    ahead = LoadingAhead({"a": open_null, "b": refuse, "c": open_null})
    with pytest.raises(ValueError, match="refused"):
        ahead.take("b")
    os.close(ahead.take("a"))
    ahead.close()
    ahead.close()
    assert count_descriptors() == before
    assert cpus


def test_two_programs_are_loaded_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=60)

    def load() -> int:
        both.wait()
        return open_null()

    ahead = LoadingAhead({"a": load, "b": load})
    for name in ("a", "b"):
        os.close(ahead.take(name))
    ahead.close()


def test_another_name_is_not_among_them() -> None:
    ahead = LoadingAhead({})
    assert "a" not in ahead
    with pytest.raises(KeyError):
        ahead.take("a")
