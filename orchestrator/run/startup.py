"""The start of a run: how long it took, and how numpy and structlog are imported."""

import contextlib
import gc
import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["begin_startup", "end_startup", "import_structlog_alone", "measure_startup_ms"]
__all__ += ["import_in_own_process", "numpy_without_threads", "own_process"]

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


class _Collection:
    """Whether the garbage collector waits for the end of the start."""

    waits = False


class _Ownership:
    """Whether this process is ours alone, and not one that imports us."""

    is_ours = False


def own_process() -> None:
    """From now on this process counts as ours alone."""
    _Ownership.is_ours = True


def begin_startup() -> None:
    """Collect no garbage while modules are imported, of which nothing becomes garbage: 7 of 100 ms.
    Only for a process that is ours alone."""
    own_process()
    if gc.isenabled():
        gc.disable()
        _Collection.waits = True


def end_startup() -> None:
    """Collect garbage again, if `begin_startup` ended that; what is there now is never looked at
    again."""
    if _Collection.waits:
        _Collection.waits = False
        gc.freeze()
        gc.enable()


def measure_startup_ms() -> float:
    """Milliseconds since this process was forked, as exact as a clock tick (10 ms).

    Source: proc(5), stat, field 22, in ticks since boot, CLOCK_BOOTTIME.
    """
    stat = Path("/proc/self/stat").read_text(errors="replace")
    started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return round((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1e3, 1)


@contextlib.contextmanager
def numpy_without_threads() -> Iterator[None]:
    """If numpy is first imported in this context, OpenBLAS starts no threads, unless the user has
    chosen their number: we multiply no matrices, and starting one thread for each CPU doubles the
    time of the import (74 ms of CPU time to 37, on two CPUs). It reads the variable when it is
    loaded; programs that are started later do not inherit it."""
    if _BLAS_THREADS in os.environ:
        yield
        return
    os.environ[_BLAS_THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[_BLAS_THREADS]


def import_in_own_process(module: str) -> ModuleType:
    """Import a module that needs numpy, in a process that is ours without threads of OpenBLAS: they
    would show up as idle threads in a profile of the host. A process that imports us may multiply
    matrices itself, and gets all of them."""
    with numpy_without_threads() if _Ownership.is_ours else contextlib.nullcontext():
        return importlib.import_module(module)


def import_structlog_alone() -> None:
    """Import structlog without what it has for terminals and coroutines: 10 of 75 ms of CPU time
    are left, and 2 of 14 MiB. Only for a process that is ours alone: structlog's renderer for
    terminals does without rich afterwards."""
    stand_ins: dict[str, Any] = {"rich": None, "asyncio": _Forwarding("asyncio")}
    absent = [name for name in stand_ins if name not in sys.modules]
    sys.modules.update({name: stand_ins[name] for name in absent})
    try:
        importlib.import_module("structlog")
    finally:
        for name in absent:
            del sys.modules[name]


class _Forwarding(ModuleType):
    """Stands for a module that is imported once something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)
