"""False alarms and misses of checks: `python -m tests.soak [WHAT [SAME [CHANGED]]]`, where WHAT is
counts, times, machine, or "" for all.

Each line says how many of so many invocations of the whole command ended in each exit code. Counts
are those of a program of known work; times are compared between two sides next to another job, and
in the deterministic machine with those of another build of the program.
Raises AssertionError where more failed, or fewer were caught, than promised: times on a machine
that does little else, since where all CPUs are busy they are ok, blunt.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.binaries import compile_to
from tests.support.paths import ROOT, WORKLOADS

SAME, CHANGED = 50, 20
#: Of twenty: a time that takes half as long again may stay unseen once; a count may not.
LEAST_CAUGHT_TIMES = 19 / 20
WORK = {"reads": 2000, "fsyncs": 20, "opens": 20, "execs": 2}
#: So many that the start of the program, about 1 ms, is a small part of its time.
READS = 20_000
_OK, _FAIL = 0, 1

HEAD = """\
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: gated, summary: for soaking}
params: PARAMS
workload: {run: [./gated, $(params.reads), $(params.fsyncs), $(params.opens), $(params.execs)]}
"""
COUNTS = """\
plan:
  probes:
    sync: {attach: "syscall:fsync", metrics: {calls: {count: true}}}
    open: {attach: "syscall:openat", metrics: {calls: {count: true}}}
    exec: {attach: "syscall:execve", metrics: {calls: {count: true}}}
expect:
  fsyncs: sync.calls <= baseline
  opens: open.calls <= baseline
  execs: exec.calls <= baseline
"""
TIMES = """\
plan:
  probes: {sync: {attach: "syscall:fsync", metrics: {calls: {count: true}}}}
expect:
  wall: workload.wall <= 1.1 * baseline
"""
#: Additions and reads take a good part of the time each, of which 0.2 % more are tolerated.
MACHINE = """\
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: measured, summary: for soaking}
params:
  adds: {type: int, default: 10000000}
  bytes: {type: int, default: 200000}
  calls: {type: int, default: 10000}
plan:
  probes:
    parent: {attach: "syscall:getppid", metrics: {calls: {count: true}}}
workload: {run: [./measured, $(params.adds), $(params.bytes), $(params.calls)]}
machine: {kernel: "debian:6.1", seeds: 2}
expect:
  time: workload.wall <= 1.002 * baseline
  calls: parent.calls <= baseline
"""
CHANGES = {
    "1 % more additions": ("adds", 10_100_000),
    "1 % more bytes in each read": ("bytes", 202_000),
    "one call more in 10,000": ("calls", 10_001),
}


def main(what: str = "", same: str = str(SAME), changed: str = str(CHANGED)) -> None:
    """All, or one of them; so many invocations of an unchanged and of each changed program."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        compile_to(folder / "gated", WORKLOADS / "gated.c")
        if what in ("", "counts"):
            soak_counts(folder, int(same), int(changed))
        if what in ("", "times"):
            soak_times(folder, int(same), int(changed))
        if what in ("", "machine"):
            soak_machine(folder, int(same), int(changed))


def soak_counts(folder: Path, same: int, changed: int) -> None:
    """One more of each kind is caught every time; the unchanged program never fails."""
    check = write_check(folder, COUNTS, dict(WORK))
    assert run_check(check, "--update", "new") == _OK
    found = Counter(run_check(check) for _ in report("counts, unchanged", same))
    show("counts, unchanged", found)
    assert not found[_FAIL], found
    for kind in ("fsyncs", "opens", "execs"):
        more = ("--set", f"{kind}={WORK[kind] + 1}")
        label = f"counts, one more of {kind}"
        found = Counter(run_check(check, *more) for _ in report(label, changed))
        show(label, found)
        assert found == Counter({_FAIL: changed}), found


def soak_times(folder: Path, same: int, changed: int) -> None:
    """Half as long again is caught nearly every time; the unchanged program never fails."""
    check = write_check(folder, TIMES, {"reads": READS, "fsyncs": 0, "opens": 0, "execs": 0})
    with other_job():
        label = "A/B times, tolerance 10 %, unchanged"
        found = Counter(
            run_check(check, "--ab", f"reads={READS},{READS}") for _ in report(label, same)
        )
        show(label, found)
        assert not found[_FAIL], found
        label = "A/B times, tolerance 10 %, half as long again"
        slow = f"reads={READS},{READS * 3 // 2}"
        found = Counter(run_check(check, "--ab", slow) for _ in report(label, changed))
        show(label, found)
        assert found[_FAIL] >= LEAST_CAUGHT_TIMES * changed, found


def soak_machine(folder: Path, same: int, changed: int) -> None:
    """One per cent and one call in ten thousand are caught in each build; another build alone never
    fails. The work is recorded as its first build does it."""
    check = folder / "measured.yaml"
    check.write_text(MACHINE)
    build_measured(folder, 0)
    assert run_check(check, "--update", "new") == _OK
    changes = {"unchanged": "", **{label: f"{name}={n}" for label, (name, n) in CHANGES.items()}}
    for label, setting in changes.items():
        found: Counter[int] = Counter()
        for number in report(f"machine, {label}", changed if setting else same):
            build_measured(folder, number + 1)
            found[run_check(check, *(("--set", setting) if setting else ()))] += 1
        show(f"machine, {label}", found)
        wanted = _FAIL if setting else _OK
        assert set(found) == {wanted}, found


def build_measured(folder: Path, number: int) -> None:
    """A build whose code is elsewhere than in the others."""
    flags = (f"-DPADDING={48 * number}",)
    compile_to(folder / "measured", WORKLOADS / "measured.c", flags=flags)


def write_check(folder: Path, rest: str, work: dict[str, int]) -> Path:
    """A check of the program, whose work has these defaults."""
    params = ", ".join(f"{name}: {{type: int, default: {n}}}" for name, n in work.items())
    file = folder / "gated.yaml"
    file.write_text(HEAD.replace("PARAMS", f"{{{params}}}") + rest)
    return file


def run_check(check: Path, *options: str) -> int:
    """The exit code of one invocation."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "check", str(check), *options],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "CI": ""},
    )
    if done.returncode not in (_OK, _FAIL):
        sys.stderr.write(done.stderr.decode(errors="replace"))
    return done.returncode


@contextmanager
def other_job() -> Iterator[None]:
    """Another job: a program that computes for a while and then pauses."""
    script = (
        "import os, random, time\n"
        f"while os.getppid() == {os.getpid()}:\n"  # not beyond our own end
        "    until = time.monotonic() + random.uniform(0, 0.3)\n"
        "    while time.monotonic() < until: pass\n"
        "    time.sleep(random.uniform(0, 0.3))\n"
    )
    job = subprocess.Popen([sys.executable, "-c", script])
    try:
        yield
    finally:
        job.kill()
        job.wait()


def report(label: str, number: int) -> Iterator[int]:
    """Counts to `number`, and says now and then how far it is."""
    began = time.monotonic()
    for one in range(number):
        yield one
        if (one + 1) % 10 == 0:
            spent = time.monotonic() - began
            sys.stderr.write(f"{label}: {one + 1} of {number}, {spent:.0f} s\n")


_MEANINGS = {0: "ok", 1: "failed", 4: "inconclusive", 5: "workload failed"}


def show(label: str, found: Counter[int]) -> None:
    """One line of figures."""
    parts: Sequence[str] = [
        f"{count} {_MEANINGS.get(code, f'exit code {code}')}" for code, count in found.items()
    ]
    print(f"{label}: {', '.join(parts)} of {found.total()}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
