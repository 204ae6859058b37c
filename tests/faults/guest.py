"""Cases in booted kernels, where functions can be probed and the machine is ours to disturb."""

import ctypes
import io
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.kernel_state import definitions, left_by
from tests.faults.runs import Zygote, foreigners
from tests.faults.zygote import Zygote as Here
from tests.guest import Unsupported
from tests.guest.product import _facts, _here
from tests.support.product import build_load

LIMIT_S = 10.0  # emulation is slow, and its processes start slowly
CPU = Path("/sys/devices/system/cpu/cpu1/online")
DELETE_MODULE = {"x86_64": 176, "aarch64": 106}


def _runs(plan: str, backend: str, load: str, lacks: Sequence[str]) -> Zygote:
    journals = Path("/run/faults")
    command = [_here(load), "read", "3"]
    here = Here(journals, backend, plan.encode(), command, _facts(tuple(lacks)))
    return Zygote(None, journals, serve=here.serve, limit_s=LIMIT_S)


def every_step(
    *,
    plan: str,
    backend: str,
    load: str,
    watchdog: bool,
    part: int,
    parts: int,
    lacks: Sequence[str] = (),
) -> dict[str, Any]:
    """Kill a run before every `parts`-th of its steps."""
    runs = _runs(plan, backend, load, lacks)
    with foreigners(Path(_here(load))):
        killed = runs.killed_everywhere(watchdog=watchdog, part=part, parts=parts)
    return {"killed": killed, "slowest_s": runs.slowest_s}


def random_kills(
    *, plan: str, backend: str, load: str, times: int, part: int, lacks: Sequence[str] = ()
) -> dict[str, Any]:
    del part  # each is another roll of the dice
    runs = _runs(plan, backend, load, lacks)
    with foreigners(Path(_here(load))):
        killed = runs.killed_at_random(times, random.Random())  # noqa: S311  # no secret
    return {"killed": killed, "slowest_s": runs.slowest_s}


def workload(kernel: Any, share: Path, **_: Any) -> dict[str, Any]:
    """On the host: put the workload into the share. What is probed is compiled over there: modules
    are not among what is known of a kernel here."""
    del kernel
    return {"load": build_load(share).name}


# ---------------------------------------------------------------- a disturbed machine


def disturbed(
    *, plan: str, backend: str, load: str, by: str, argv: Sequence[str], lacks: Sequence[str] = ()
) -> dict[str, Any]:
    """A run alongside five times `load argv…`, while a process does `by` (a function of this
    module, and its argument after a blank) to the machine once the probe is there."""
    from orchestrator.output.sink import Sink
    from orchestrator.plan.load import load_plan
    from orchestrator.run.runner import run_plan

    if by == "unplug" and not CPU.exists():
        raise Unsupported("CPU hot-unplug")
    lines = io.BytesIO()
    command = [*_IN_PARTS, _here(load), *argv] if argv else []
    name, *words = by.split()
    with _meanwhile(lambda: str(globals()[name](*words))) as reported:
        began = time.monotonic()
        run_plan(
            load_plan(plan.encode()),
            _facts(tuple(lacks)),
            backend=backend,
            command=command,
            log=Sink(lines),
        )
        took = time.monotonic() - began
    text = lines.getvalue().decode()
    run_id = text.partition('"run_id":"')[2].partition('"')[0]
    return {"lines": text, "took_s": took, "left": left_by(run_id), "reported": reported()}


#: Runs what follows five times, so long that the disturbance falls into it.
_IN_PARTS = ("sh", "-c", 'for part in 1 2 3 4 5; do "$@" || exit; sleep 0.5; done', "sh")


@contextmanager
def _meanwhile(disturb: Callable[[], str]) -> Iterator[Callable[[], str]]:
    """In a separate process, until the block ends; what it returned is reported then."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            while not any("probeplan" in line for line in definitions()):  # it may compile first
                time.sleep(0.05)
            time.sleep(0.5)
            said = disturb()
            running = any(Path("/run/probeplan").glob("*.journal"))
            os.write(write, (said if running else f"{said} too late").encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)

    def reported() -> str:
        os.waitpid(pid, 0)
        with os.fdopen(read) as pipe:
            return pipe.read()

    yield reported


def step_clock() -> str:
    """An hour ahead, and back again."""
    for hour in (3600, -3600):
        now = time.clock_gettime(time.CLOCK_REALTIME)
        time.clock_settime(time.CLOCK_REALTIME, now + hour)
        time.sleep(0.3)
    return "stepped"


def unplug() -> str:
    """The second CPU leaves, and comes back."""
    CPU.write_text("0")
    time.sleep(0.5)
    CPU.write_text("1")
    return "unplugged"


def unload(module: str) -> str:
    """The module that is probed goes."""
    libc = ctypes.CDLL(None, use_errno=True)
    nonblocking = os.O_NONBLOCK
    failed = libc.syscall(DELETE_MODULE[platform.machine()], module.encode(), nonblocking)
    return os.strerror(ctypes.get_errno()) if failed else "unloaded"
