"""The price of a hit, by the way in which a probe is attached: how many ns slower an event is when
a probe that does nothing is attached to it.

Prices are measured on the host at first use, on a rarely used system call, and cached next to the
compiled programs by kernel release and CPU model. Where that is not possible DEFAULTS are used, and
`Price.calibrated` is false.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from orchestrator.backends.cache_directory import cache_directory, check_own
from orchestrator.values import dataclass

__all__ = ["DEFAULTS", "Price", "file_name_of", "look_up_prices"]

#: ns. Source: our measurements on one machine, Linux 6.18, of an event with an empty probe and
#: without (raw and perf tracepoints, uprobes, tracefs events; a kretprobe costs two traps).
DEFAULTS: Mapping[str, float] = {
    "raw tracepoint": 80,
    "perf tracepoint": 120,
    "fentry": 60,
    "kprobe": 300,
    "kretprobe": 600,
    "uprobe": 10_000,
    "uretprobe": 15_000,
    "perf clock": 1_000,
    "iterator": 100,
    "perf event": 1_000,
    "event": 250,
    "kprobe event": 450,
    "kretprobe event": 750,
    "uprobe event": 10_000,
    "uretprobe event": 15_000,
}
_CPUINFO = Path("/proc/cpuinfo")
_SANE_NS = 1_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """ns per hit. `calibrated`: measured on this host. `run_ns`: the run time that the kernel's
    statistics report for a program that does nothing, which is the cost of measuring."""

    ns: float
    calibrated: bool
    run_ns: float = 0.0


MeasurePrice = Callable[[str], "tuple[float, float] | None"]


def look_up_prices(kinds: Collection[str], measure: MeasurePrice) -> dict[str, Price]:
    """The price of each of `kinds` (keys of DEFAULTS). `measure` is called for those that are not
    cached, unless nothing can be cached; it returns (ns, run_ns), or None where it cannot measure.
    Raises KeyError for a kind that is not in DEFAULTS."""
    file = _prices_file()
    kept = _read_prices(file) if file is not None else {}
    missing = [kind for kind in kinds if kind not in kept] if file is not None else []
    for kind in missing:
        measured = measure(kind)
        if measured is not None and 0 <= measured[0] < _SANE_NS:
            kept[kind] = Price(ns=measured[0], run_ns=measured[1], calibrated=True)
    if file is not None and any(kind in kept for kind in missing):
        _write_prices(file, kept)
    return {kind: kept.get(kind, Price(ns=DEFAULTS[kind], calibrated=False)) for kind in kinds}


def file_name_of(release: str, cpuinfo: str) -> str:
    """The file name for a kernel release and the CPU model in the text of /proc/cpuinfo."""
    from hashlib import sha256

    fields = ("model name", "CPU implementer", "CPU part", "machine")
    lines = (line for line in cpuinfo.splitlines() if line.startswith(fields))
    model = "\n".join(dict.fromkeys(lines))
    text = "\0".join((os.uname().machine, release, model))
    return "prices-" + sha256(text.encode()).hexdigest()[:32]


def _prices_file() -> Path | None:
    """The file of cached prices; None where nothing can be cached."""
    place = cache_directory()
    if place is None:
        return None
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = check_own(place)
        with _CPUINFO.open(errors="replace") as processors:
            cpuinfo = processors.read(2048)  # the first CPU is enough; reading hundreds is slow
    except OSError:
        return None
    return own / file_name_of(os.uname().release, cpuinfo) if os.access(own, os.W_OK) else None


def _read_prices(file: Path) -> dict[str, Price]:
    try:
        cached = json.loads(file.read_text())
        return {
            kind: Price(ns=float(ns), run_ns=float(run_ns), calibrated=True)
            for kind, (ns, run_ns) in cached.items()
            if kind in DEFAULTS and 0 <= ns < _SANE_NS
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_prices(file: Path, kept: Mapping[str, Price]) -> None:
    """Replace the file atomically. Of two runs that measure at once, the later one wins."""
    from contextlib import suppress

    text = json.dumps({kind: [round(p.ns, 1), round(p.run_ns, 1)] for kind, p in kept.items()})
    fresh = file.with_name(f".new-{os.getpid()}")
    with suppress(OSError):
        fresh.write_text(text)
        fresh.replace(file)
