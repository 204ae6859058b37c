"""What bundles cost: a start from one, compared with a warm cache and with a compiler; their size;
building them; checking their signature."""

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

from bench.figures import Figure, Target
from bench.open_numbers import KERNELS, recorded_pairs, shipped_plans
from bench.process import Process
from bench.setting import NotPossible, Setting, command

__all__ = ["bundles"]

TURNS = 3  # per round
PLANS = ("context-switches", "off-cpu-time")
CHECKS = 20
WARM, COLD, MEMORY, PID = 1.05, 0.6, 1.05, 1.1
MEDIAN_KIB, LARGEST_KIB, BUILDING, CHECKING = 12, 32, 1.2, 0.05
_LOOK_S = 0.001


def bundles(setting: Setting) -> list[Figure]:
    """Starts of two plans, then what concerns all shipped ones."""
    figures: list[Figure] = []
    for plan in PLANS[: setting.of(len(PLANS))]:
        figures += _starting(setting, plan)
    checking = _checking(setting, figures[0].ours)
    return [*figures, _another_pid(setting), checking, *_building(setting)]


# ---------------------------------------------------------------- starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """ms from the start of the process until its probes are attached, and peak MB in all."""

    armed_ms: float
    peak_mb: float


def _starting(setting: Setting, plan: str) -> list[Figure]:
    """From a bundle of the recorded kernels of other series, from a warm cache and by the compiler,
    in turns; the first turn fills the caches and is discarded."""
    file = _build(setting, [plan], _other_kernels(), setting.directory / f"{plan}.ppb")
    contenders: dict[str, Callable[[], Start]] = {
        "bundle": lambda: _start(setting, str(file)),
        "warm cache": lambda: _start(setting, plan),
        "compiler": lambda: _start(setting, plan, cache=False),
    }
    turns: dict[str, list[Start]] = {name: [] for name in contenders}
    for number in range(1 + setting.rounds * setting.of(TURNS)):
        setting.say(f"bundles: {plan}, start {number}")
        for name, start in contenders.items():
            turns[name].append(start())
    armed = {name: [turn.armed_ms for turn in many[1:]] for name, many in turns.items()}
    peak = {name: [turn.peak_mb for turn in many[1:]] for name, many in turns.items()}
    return [
        _figure(f"{plan}: start to armed, from a bundle", "ms", armed, "warm cache", WARM),
        _figure(f"{plan}: start to armed, from a bundle", "ms", armed, "compiler", COLD),
        _figure(f"{plan}: peak memory, from a bundle", "MB", peak, "warm cache", MEMORY),
    ]


def _figure(
    name: str, unit: str, samples: dict[str, list[float]], peer: str, most: float
) -> Figure:
    return Figure(
        name=name,
        unit=unit,
        ours=samples["bundle"],
        peer=peer,
        theirs=samples[peer],
        target=Target(at="most", bound=most),
    )


def _start(setting: Setting, plan: str, *more: str, cache: bool = True) -> Start:
    """One run, ended as soon as its probes are attached: then its log is written for the first
    time."""
    off = [] if cache else ["env", "PROBEPLAN_CACHE=off"]
    chosen = ["--backend", "bcc", "--no-canary", "--limit", "cpu=100%"]
    argv = [*off, *command(), "run", plan, *chosen, *more]
    with Process(setting, argv, "ours-start", cpu=setting.reader_cpu) as process:
        process.watch(lambda: process.written() > 0, "its probes are attached", pause_s=_LOOK_S)
        armed_ns = time.monotonic_ns()
        usage = process.finish()
    return Start(armed_ms=(armed_ns - process.started_ns) / 1e6, peak_mb=usage.peak_bytes / 1e6)


def _another_pid(setting: Setting) -> Figure:
    """A start for a process that no run was for, compared with one for the same process again."""
    plan = PLANS[0]
    fresh: list[float] = []
    again: list[float] = []
    with _sleeper() as known:
        for number in range(1 + setting.rounds * setting.of(TURNS)):
            setting.say(f"bundles: another pid, start {number}")
            again.append(_start(setting, plan, "--target", f"pid={known}").armed_ms)
            with _sleeper() as pid:
                fresh.append(_start(setting, plan, "--target", f"pid={pid}").armed_ms)
    return Figure(
        name=f"{plan}: start to armed, for a new pid",
        unit="ms",
        ours=fresh[1:],
        peer="the same pid again",
        theirs=again[1:],
        target=Target(at="most", bound=PID),
    )


@contextmanager
def _sleeper() -> Iterator[int]:
    """The pid of a process that does nothing."""
    with subprocess.Popen(["sleep", "infinity"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


# ---------------------------------------------------------------- building


def _build(setting: Setting, plans: Sequence[str], kernels: Sequence[Path], place: Path) -> Path:
    """Build a bundle, or with a directory several. Raises NotPossible."""
    files = [str(path) for path in kernels]
    argv = [*command(), "bundle", *plans, "--kernel", *files, "-o", str(place), "--allow-missing"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotPossible(f"a bundle cannot be built: {done.stderr.strip()}")
    return place


def _other_kernels() -> list[Path]:
    """Recordings of this machine's architecture whose series is not the one of its kernel."""
    series = ".".join(os.uname().release.split(".")[:2])
    names = {path: path.name.removesuffix(".facts.xz") for path in KERNELS}
    return [path for path, name in names.items() if name.partition("-")[0] != series]


def _building(setting: Setting) -> list[Figure]:
    """All shipped plans for five kernels: CPU seconds, compared with compiling each pair of plan
    and kernel, and the sizes of the files."""
    from orchestrator.backends.compiled import compile_artifact

    setting.say("bundles: building all plans for five kernels")
    files = shipped_plans(setting)
    folder = setting.directory / "built"
    folder.mkdir()
    with patch.dict(os.environ, PROBEPLAN_CACHE="off"):
        before = _cpu_s()
        _build(setting, [str(file) for file in files], KERNELS, folder)
        built = _cpu_s() - before
        setting.say("bundles: compiling each pair of plan and kernel")
        before = _cpu_s()
        pairs = 0
        for _, artifact in recorded_pairs(setting):
            compile_artifact(artifact)
            pairs += 1
        alone = _cpu_s() - before
    sizes = [file.stat().st_size / 1024 for file in folder.iterdir()]
    return [
        Figure(
            name=f"building {len(files)} plans for {len(KERNELS)} kernels",
            unit="CPU s",
            ours=[built],
            peer=f"compiling {pairs} pairs",
            theirs=[alone],
            target=Target(at="most", bound=BUILDING),
        ),
        Figure(
            name="bundle of five kernels, median",
            unit="KiB",
            ours=[median(sizes)],
            target=Target(at="most", bound=MEDIAN_KIB),
        ),
        Figure(
            name="bundle of five kernels, largest",
            unit="KiB",
            ours=[max(sizes)],
            target=Target(at="most", bound=LARGEST_KIB),
        ),
    ]


def _cpu_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


# ---------------------------------------------------------------- signatures


def _checking(setting: Setting, starts: Sequence[float]) -> Figure:
    """ms to check a bundle's signature, compared with the start of a run from that bundle."""
    from orchestrator.signatures.detached import read_detached, signature_path
    from orchestrator.signatures.model import SignerLists
    from orchestrator.signatures.verify import verify_signature

    file = setting.directory / f"{PLANS[0]}.ppb"
    key = setting.directory / "key"
    _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(key))
    _ssh_keygen("-Y", "sign", "-q", "-n", "probeplan", "-f", str(key), str(file))
    lists = SignerLists(
        signers=b"bench " + key.with_suffix(".pub").read_bytes(), signers_file="signers"
    )
    content, took = file.read_bytes(), []
    for _ in range(setting.rounds * setting.of(CHECKS)):
        began = time.monotonic()
        signature = read_detached(signature_path(str(file)))
        assert signature is not None
        verify_signature(content, signature, lists)
        took.append((time.monotonic() - began) * 1e3)
    return Figure(
        name="checking a bundle's signature",
        unit="ms",
        ours=took,
        peer="start to armed",
        theirs=starts,
        target=Target(at="most", bound=CHECKING),
    )


def _ssh_keygen(*words: str) -> None:
    try:
        subprocess.run(["ssh-keygen", *words], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NotPossible("ssh-keygen is not installed") from None
