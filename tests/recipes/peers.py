"""bpftrace, run alongside us: started, attached, interrupted, and what it reported."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.process import attached_to, attachments

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
            out, errors = ended(process)
        assert process.returncode == 0, errors
        made.maps.update(maps_of(out))


def ended(process: "subprocess.Popen[Any]") -> tuple[Any, Any]:
    """Interrupt bpftrace, again only while it holds its probes: it misses a signal that comes
    between two waits, and at one that comes later it drops what it has still to print. What its
    pipes reported, where it has any."""
    try:
        while True:
            process.send_signal(signal.SIGINT)
            try:
                return process.communicate(timeout=1.0)
            except subprocess.TimeoutExpired:
                if not attachments(process.pid):
                    return process.communicate(timeout=PATIENCE_S)
    except BaseException:
        process.kill()  # or leaving its block would wait for ever
        raise


def maps_of(text: str) -> Maps:
    """What bpftrace printed at its end: map name → value, or key → value."""
    found: Maps = {}
    for line in filter(None, text.splitlines()):
        reported: Mapping[str, Any] = json.loads(line)
        if reported["type"] in ("map", "hist", "stats"):
            found.update(reported["data"])
    return found


def private_python(folder: Path) -> str:
    """The interpreter under a name that no other process has: programs see it in `comm`."""
    link = folder / f"peer{os.getpid()}"
    if not link.exists():
        link.symlink_to("/usr/bin/python3")
    return str(link)


# ---------------------------------------------------------------- scripts as they are shipped


SCRIPTS = Path("/usr/sbin")
REPORTED_S = 15.0
#: Whole paths, and room for what a busy host adds to the workload. Functions by address: for
#: a name bpftrace looks into the process; for one that has just ended it finds none, and closes
#: descriptors of its probes ("failed to close perf event FDs").
ROOM = {
    "BPFTRACE_STRLEN": "200",
    "BPFTRACE_PERF_RB_PAGES": "1024",
    "BPFTRACE_NO_USER_SYMBOLS": "1",
}
#: Of these the kernel names no attachment: the first two run in bpftrace itself.
UNNAMED = re.compile(r"^(?:BEGIN|END|interval:\S+|profile:\S+)$", re.MULTILINE)
#: Takes "COPY PLACE" pairs up to "--", then the command.
INSTEAD = """
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done
shift; exec "$@"
"""


@dataclass(slots=True)
class Script:
    """A run of a script that the package bpftrace ships, unmodified."""

    name: str
    process: "subprocess.Popen[bytes]"
    output: Path

    def reported(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")

    def wait_attached(self) -> None:
        """Until every probe that it says it attaches has its program in the kernel."""
        self._until(lambda: self._missing() == 0, PATIENCE_S)
        assert self._missing() == 0, f"{self.name} never attached its probes: {self.reported()}"

    def wait_told(self, enough: Callable[[str], bool]) -> None:
        """Until it has printed enough; what it has printed by then is all, if that never comes."""
        self._until(lambda: enough(self.reported()), REPORTED_S)

    def _until(self, condition: Callable[[], bool], patience_s: float) -> None:
        end = time.monotonic() + patience_s
        while not condition() and time.monotonic() < end:
            assert self.process.poll() is None, f"{self.name} has ended: {self.reported()}"
            time.sleep(0.05)

    def _missing(self) -> int:
        """How many attachments it lacks."""
        said = re.search(r"^Attaching (\d+) probe", self.reported(), re.MULTILINE)
        if said is None:
            return -1
        unnamed = len(UNNAMED.findall((SCRIPTS / self.name).read_text()))
        given_up = self.reported().count("could not attach probe")  # functions of other kernels
        return int(said[1]) - unnamed - given_up - len(attachments(self.process.pid))


@contextmanager
def shipped(name: str, folder: Path, instead: Mapping[str, Path] | None = None) -> Iterator[Script]:
    """Script `name`, attached while the block runs. `instead`: files that it sees in place of the
    host's, by path, so that its probes in a library stand in the workload's copy alone."""
    command = ["bpftrace", str(SCRIPTS / name)]
    if instead:
        pairs = [str(word) for place, copy in instead.items() for word in (copy, place)]
        command = ["unshare", "--mount", "sh", "-c", INSTEAD, "sh", *pairs, "--", *command]
    output = folder / f"{name}.log"
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ROOM},
        ) as process,
    ):
        script = Script(name, process, output)
        try:
            script.wait_attached()
            yield script
        finally:
            ended(process)
    assert process.returncode == 0, script.reported()
    assert not re.search(r"^Lost \d+ events", script.reported(), re.MULTILINE), (
        "bpftrace lost events"
    )
