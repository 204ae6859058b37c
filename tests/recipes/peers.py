"""bpftrace, run beside us: started, attached, interrupted, and what its maps held."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.process import attached_to

PATIENCE_S = 60.0
Maps = dict[str, Any]


@dataclass(slots=True)
class Bpftrace:
    """A run of bpftrace; `maps` are there when it has ended."""

    process: "subprocess.Popen[str]"
    maps: Maps = field(default_factory=dict)

    def wait_attached(self, events: Sequence[str]) -> None:
        """Until each of these tracepoints has a program of this process."""
        end = time.monotonic() + PATIENCE_S
        left = list(events)
        while left:
            assert self.process.poll() is None, "bpftrace has ended"
            assert time.monotonic() < end, f"bpftrace never attached {left}"
            left = [event for event in left if not attached_to(self.process.pid, event)]
            time.sleep(0.02)


@contextmanager
def bpftrace(program: str, events: Sequence[str]) -> Iterator[Bpftrace]:
    """bpftrace with this program, attached to these tracepoints while the block runs."""
    path = shutil.which("bpftrace")
    assert path is not None, "bpftrace is not installed: scripts/setup.sh test does it"
    pipe = subprocess.PIPE
    environment = {**os.environ, "BPFTRACE_MAP_KEYS_MAX": "100000"}
    with subprocess.Popen(
        [path, "-f", "json", "-e", program], stdout=pipe, stderr=pipe, text=True, env=environment
    ) as process:
        made = Bpftrace(process)
        try:
            made.wait_attached(events)
            yield made
        finally:
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        made.maps.update(maps_of(out))


def maps_of(text: str) -> Maps:
    """What bpftrace printed at its end: map name → value, or key → value."""
    found: Maps = {}
    for line in filter(None, text.splitlines()):
        told: Mapping[str, Any] = json.loads(line)
        if told["type"] in ("map", "hist", "stats"):
            found.update(told["data"])
    return found


def private_python(folder: Path) -> str:
    """The interpreter under a name that no other process has: programs see it in `comm`."""
    link = folder / f"peer{os.getpid()}"
    if not link.exists():
        link.symlink_to("/usr/bin/python3")
    return str(link)
