"""Cases for kernels with kprobes: they load what was compiled outside, since clang is slow here."""

import ctypes
import os
import resource
import shutil
import subprocess
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.backends.bcc.attach import links, load
from orchestrator.backends.bcc.attach.links import AttachRefused
from orchestrator.backends.bcc.attach.load import LoadError
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.backends.bcc.handles.attachment import Attachment
from orchestrator.backends.bcc.handles.maps import Map, create_map
from orchestrator.kernel.abi import bpf, dynamic_events
from orchestrator.kernel.abi.dynamic_events import Event
from tests.guest.driver import Unsupported
from tests.support.binaries import compile_to
from tests.support.bpf_programs import COUNT, COUNTS, COUNTS_SPEC, KEY, counts_of, only
from tests.support.paths import WORKLOADS

GROUP = "pp_guest"
GETPPID = "__x64_sys_getppid"
ZERO = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)


def compiled(kernel: Any, share: Path, **kwargs: Any) -> dict[str, str]:
    """On the host: the counting program as text. Any prepared case may use it."""
    del kernel, share, kwargs
    from orchestrator.backends.bcc.compiler import clang

    return {"code": b64encode(clang.compile_c(COUNT, ["count"])["count"]).decode()}


def compiled_traced(kernel: Any, share: Path, **kwargs: Any) -> dict[str, str]:
    """On the host: the counting program for fentry and fexit."""
    from orchestrator.backends.bcc.compiler import clang

    del kernel, share, kwargs
    return {"code": b64encode(clang.compile_c(COUNT, ["count_traced"])["count_traced"]).decode()}


def compiled_with_workload(kernel: Any, share: Path, **kwargs: Any) -> dict[str, str]:
    """On the host: the counting program, and the workload in the share."""
    source = WORKLOADS / "load.c"
    binary = share / "load"
    if not binary.exists():
        compile_to(binary, source, flags=("-pthread",))
    return compiled(kernel, share, **kwargs) | {"workload": binary.name}


class Count:
    """The counting program in this kernel, watching this process."""

    def __init__(self, code: str, kind: int, pid: int = 0, **loading: int) -> None:
        self.map: Map = create_map(COUNTS_SPEC)
        self.map.update(KEY, only(pid))
        self.program = load.load_program(
            b64decode(code), kind, name="count", maps={COUNTS: self.map.fd}, **loading
        )

    @property
    def hits(self) -> int:
        return counts_of(self.map.lookup(KEY)).hits


def call_getppid(calls: int) -> None:
    libc = ctypes.CDLL(None)
    for _ in range(calls):
        libc.getppid()


def call_vfs_read(calls: int) -> None:
    """Reads of a device; reading does nothing else."""
    for _ in range(calls):
        os.read(ZERO, 1)


def _counted(
    count: Count,
    attached: Attachment,
    calls: int,
    call: Callable[[int], None] = call_getppid,
) -> dict[str, int]:
    """Hits of `calls` calls, and after the detachment of as many more."""
    before = count.hits
    call(calls)
    reported = {"hits": count.hits - before}
    names = [name.partition("/")[2] for name in attached.events]
    for hit in dynamic_events.read_profile(names).values() if names else ():
        reported |= {"event_hits": hit.hits, "event_misses": hit.misses or 0}
    attached.detach()
    before = count.hits
    call(calls)
    return reported | {"after": count.hits - before}


def dynamic_kprobe(code: str, calls: int, returns: bool) -> dict[str, Any]:
    """A separate event on getppid's function, and what is left of it afterwards."""
    count = Count(code, bpf.KPROBE, os.getpid())
    event = Event(group=GROUP, name=f"{GROUP}_getppid", symbol=GETPPID, returns=returns)
    attached = links.attach_dynamic_event(event, count.program, lambda _: None)
    reported: dict[str, Any] = dict(_counted(count, attached, calls))
    return reported | {"left": GROUP in (dynamic_events.TRACEFS / "kprobe_events").read_text()}


def kprobe_pmu(code: str, calls: int, returns: bool) -> dict[str, int]:
    count = Count(code, bpf.KPROBE, os.getpid())
    return _counted(count, links.attach_kprobe_pmu(GETPPID, count.program, returns=returns), calls)


def trampoline(code: str, calls: int, returns: bool) -> dict[str, Any]:
    """fentry or fexit of vfs_read, and what the trial said of it."""
    function = btf_id_of("vfs_read")
    kind = bpf.TRACE_FEXIT if returns else bpf.TRACE_FENTRY
    trial = bpf.can_fentry(function, attach_type=kind)
    try:
        count = Count(
            code, bpf.TRACING, os.getpid(), expected_attach_type=kind, attach_btf_id=function
        )
        attached = (links.attach_fexit if returns else links.attach_fentry)(
            "vfs_read", count.program
        )
    except (LoadError, AttachRefused) as refused:
        if trial.yes:
            raise
        raise Unsupported(f"fentry: {refused}") from None
    return _counted(count, attached, calls, call_vfs_read) | {"trial": trial.state}


def btf_id_of(function: str) -> int:
    from orchestrator.kernel.btf import Btf

    try:
        found = Btf.from_bytes(Path("/sys/kernel/btf/vmlinux").read_bytes()).function(function)
    except FileNotFoundError:
        raise Unsupported("btf") from None
    assert found is not None
    return found.btf_id


def perf_tracepoint(code: str, calls: int) -> dict[str, int]:
    count = Count(code, bpf.TRACEPOINT, os.getpid())
    number = dynamic_events.event_id("syscalls/sys_enter_getppid")
    return _counted(count, links.attach_perf_tracepoint(number, count.program), calls)


def blocked_threads(code: str, workload: str, threads: int) -> dict[str, int]:
    """Threads block in pipe_read, then all return: what entry and return probes of it saw."""
    binary = "/run/load"
    shutil.copy(Path(os.environ["PROBEPLAN_SHARE"]) / workload, binary)
    symbol = pipe_read()
    with subprocess.Popen(
        [binary, "-w", "threads", str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        pid = int(child.stdout.readline().split()[1])
        counts = {side: Count(code, bpf.KPROBE, pid) for side in ("entry", "return")}
        attached = [
            links.attach_dynamic_event(
                Event(
                    group=GROUP,
                    name=f"{GROUP}_{side}",
                    symbol=symbol,
                    returns=side == "return",
                ),
                count.program,
                lambda _: None,
            )
            for side, count in counts.items()
        ]
        child.stdin.write("go\n")
        child.stdin.close()
        child.wait()
    misses = dynamic_events.read_profile([f"{GROUP}_return"])[f"{GROUP}_return"].misses
    for one in attached:
        one.detach()
    return {side: count.hits for side, count in counts.items()} | {"misses": misses or 0}


def pipe_read() -> str:
    """The function was renamed anon_pipe_read."""
    names = {line.split()[2] for line in Path("/proc/kallsyms").read_text().splitlines()}
    return next(name for name in ("anon_pipe_read", "pipe_read") if name in names)


def refusals(code: str) -> dict[str, list[int | str]]:
    """What the kernel says to places that cannot be probed; nothing may be left defined."""
    count = Count(code, bpf.KPROBE)
    places: dict[str, Callable[[], Attachment]] = {
        "missing": lambda: _dynamic(count, symbol="no_such_function_at_all"),
        "blacklisted": lambda: _dynamic(count, symbol="do_int3"),
        "mid instruction": lambda: _dynamic(count, symbol="vfs_read", offset=1),
        "pmu missing": lambda: links.attach_kprobe_pmu("no_such_function_at_all", count.program),
    }
    reported: dict[str, list[int | str]] = {}
    for name, attempt in places.items():
        try:
            attempt().detach()
        except AttachRefused as refused:
            reported[name] = [refused.errno, refused.why]
    left = GROUP in (dynamic_events.TRACEFS / "kprobe_events").read_text()
    return reported | {"left": [int(left)]}


def _dynamic(count: Count, symbol: str, offset: int = 0) -> Attachment:
    event = Event(group=GROUP, name=f"{GROUP}_refused", symbol=symbol, offset=offset)
    return links.attach_dynamic_event(event, count.program, lambda _: None)


def large_ring(size: int) -> int | None:
    """What the kernel says a ring takes; before 5.11 it is charged to RLIMIT_MEMLOCK."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 16, 1 << 16))
    ring = create_map(
        MapSpec(name="large", kind="ringbuf", key_size=0, value_size=0, max_entries=size)
    )
    taken = ring.memory_bytes()
    ring.close()
    return taken


def trials() -> dict[str, str]:
    """What the trial loads say of this kernel."""
    return {
        "bpf": bpf.can_bpf().state,
        "raw_tracepoint": bpf.can_raw_tracepoint().state,
        "ringbuf": bpf.can_ringbuf().state,
        "mmap_array": bpf.can_mmap_array().state,
        "jiffies64": bpf.can_jiffies64().state,
        "fetch_atomics": bpf.can_fetch_atomics().state,
        "fetch_atomics_reason": bpf.can_fetch_atomics().reason,
        "release": os.uname().release,
    }


def busy_definition(code: str) -> bool:
    """An event that is in use is removed as soon as it is free."""
    count = Count(code, bpf.KPROBE)
    event = Event(group=GROUP, name=f"{GROUP}_busy", symbol=GETPPID)
    dynamic_events.define_events([event], lambda _: None)
    number = dynamic_events.event_id(event.full_name)
    holder = links.attach_perf_tracepoint(number, count.program)
    releasing = threading.Thread(target=lambda: (time.sleep(0.3), holder.detach()))
    releasing.start()
    dynamic_events.remove_events([event.full_name])
    releasing.join()
    return GROUP not in (dynamic_events.TRACEFS / "kprobe_events").read_text()
