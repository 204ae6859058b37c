"""adjtimex(2): whether the clock is synchronised, and by how much it may be off."""

import ctypes
from typing import Any

import pytest

from orchestrator.kernel.abi import clock
from orchestrator.kernel.abi.clock import ClockState, read_clock_state


class Libc:
    """A C library whose adjtimex answers with an error bound in microseconds, or fails."""

    def __init__(self, microseconds: int, result: int = 0) -> None:
        self._microseconds, self._result = microseconds, result

    def adjtimex(self, timex: Any) -> int:
        timex._obj.maxerror = self._microseconds
        return self._result


def answer(monkeypatch: pytest.MonkeyPatch, libc: object) -> ClockState | None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_options: libc)
    return read_clock_state()


def test_from_sixteen_seconds_on_the_kernel_takes_the_clock_for_unsynchronised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = answer(monkeypatch, Libc(15_999_999, result=5))
    assert before == ClockState(synchronised=True, error_ns=15_999_999_000)
    after = answer(monkeypatch, Libc(16_000_000, result=5))
    assert after == ClockState(synchronised=False, error_ns=16_000_000_000)


@pytest.mark.parametrize("libc", [Libc(0, result=-1), Libc(-1), object()])
def test_what_the_kernel_does_not_say_is_unknown(
    monkeypatch: pytest.MonkeyPatch, libc: object
) -> None:
    """Also a C library without the call."""
    assert answer(monkeypatch, libc) is None


def test_the_fields_are_where_the_kernel_writes_them() -> None:
    """Offsets on 64-bit machines, from include/uapi/linux/timex.h; and this kernel answers."""
    assert clock._Timex.maxerror.offset == 24
    assert ctypes.sizeof(clock._Timex) >= 208
    state = read_clock_state()
    assert state is None or state.error_ns >= 0
