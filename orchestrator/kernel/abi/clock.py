"""Whether this machine's clock is kept by another one, and how far it may be off: adjtimex(2)."""

import ctypes

from orchestrator.values import dataclass

__all__ = ["ClockState", "read_clock_state"]

#: From this error on the kernel takes the clock for unsynchronised: 16 s, in microseconds. Source:
#: NTP_PHASE_LIMIT, include/linux/timex.h; ntp_update_second in kernel/time/ntp.c lets the error
#: grow up to it. STA_UNSYNC is not looked at, as in systemd: it is also set by those that only keep
#: the kernel from writing the hardware clock.
_UNSYNCHRONISED_US = 16_000_000


class _Timex(ctypes.Structure):
    """struct timex, include/uapi/linux/timex.h: the first fields, and room for the rest (208 bytes
    on 64-bit machines)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """CLOCK_REALTIME as the kernel knows it: `error_ns` is the most by which it may be off."""

    synchronised: bool
    error_ns: int


def read_clock_state() -> ClockState | None:
    """The state of the clock now; None where the kernel does not say, as under a filter of system
    calls. Changes nothing and needs no rights."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):
        return None
    if state < 0 or timex.maxerror < 0:
        return None
    return ClockState(
        synchronised=timex.maxerror < _UNSYNCHRONISED_US, error_ns=timex.maxerror * 1000
    )
