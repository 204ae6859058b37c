"""Programs attach, count exactly, stop when detached, and leave nothing behind."""

import ctypes
import os
import platform
import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.backends.bcc.attach import links
from orchestrator.backends.bcc.handles.attachment import close_together
from orchestrator.kernel.abi import bpf, dynamic_events, perf
from orchestrator.kernel.abi.dynamic_events import Event
from orchestrator.kernel.abi.file_identity import FileIdentity
from tests.live.bpf.conftest import Counter, Workload

CALLS = 3000
Make = Callable[[int], Counter]


def test_a_perf_tracepoint_sees_each_call(counter: Make, workload: Workload) -> None:
    """N getppid calls are N hits."""
    count = counter(bpf.TRACEPOINT)
    number = dynamic_events.event_id("syscalls/sys_enter_getppid")
    attached = links.attach_perf_tracepoint(number, count.program)
    workload.run("getppid", str(CALLS), before=count.watch)
    attached.detach()
    assert count.counts.hits == CALLS


def test_a_detached_program_counts_no_more(counter: Make, workload: Workload) -> None:
    """detach() ends it at once, and a second detach() is harmless."""
    count = counter(bpf.TRACEPOINT)
    number = dynamic_events.event_id("syscalls/sys_enter_getppid")
    attached = links.attach_perf_tracepoint(number, count.program)
    attached.detach()
    attached.detach()
    workload.run("getppid", "100", before=count.watch)
    assert count.counts.hits == 0


@pytest.mark.parametrize("threads", [True, False])
def test_programs_that_are_closed_together_count_no_more(
    counter: Make, workload: Workload, threads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, also where no more threads can be had; and no descriptor is left."""
    count, before = counter(bpf.TRACEPOINT), descriptors()
    names = [f"syscalls/sys_{side}_{call}" for side in ("enter", "exit")
             for call in ("getppid", "getuid", "getgid")]  # fmt: skip
    numbers = map(dynamic_events.event_id, names)
    attached = [links.attach_perf_tracepoint(number, count.program) for number in numbers]
    if not threads:
        monkeypatch.setattr(threading.Thread, "start", no_more_threads)
    close_together(attached)
    assert descriptors() == before
    assert [one.fds for one in attached] == [[]] * len(names)
    monkeypatch.undo()
    for one in attached:
        one.detach()
    workload.run("getppid", "100", before=count.watch)
    assert count.counts.hits == 0


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def no_more_threads(_thread: threading.Thread) -> None:
    """What Thread.start says then."""
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("cpu", ["0", "1"])
def test_one_perf_event_serves_all_cpus(counter: Make, workload: Workload, cpu: str) -> None:
    """The event is opened for one CPU; calls on each CPU are seen."""
    count = counter(bpf.TRACEPOINT)
    number = dynamic_events.event_id("syscalls/sys_enter_getppid")
    attached = links.attach_perf_tracepoint(number, count.program)
    workload.run("getppid", str(CALLS), cpu, before=count.watch)
    attached.detach()
    assert count.counts.hits == CALLS


@pytest.mark.parametrize("returns", [False, True])
def test_a_uprobe_event_sees_each_call(
    counter: Make, workload: Workload, group: str, returns: bool
) -> None:
    """Entry and return: N calls are N hits, in our count and in uprobe_profile."""
    count = counter(bpf.KPROBE)
    event = Event(
        group=group,
        name=f"{group}_u{returns:d}",
        path=str(workload.binary),
        offset=workload.offset_of("target_fn"),
        returns=returns,
    )
    journal: list[str] = []
    attached = links.attach_dynamic_event(event, count.program, journal.append)
    workload.run("call", str(CALLS), before=count.watch)
    profile = dynamic_events.read_profile([event.name])
    attached.detach()
    assert count.counts.hits == CALLS
    assert profile[event.name] == dynamic_events.Hits(hits=CALLS, misses=None)
    assert journal == [event.full_name]


@pytest.mark.parametrize("returns", [False, True])
def test_the_uprobe_pmu_sees_each_call(counter: Make, workload: Workload, returns: bool) -> None:
    """Without tracefs: N calls are N hits."""
    count = counter(bpf.KPROBE)
    attached = links.attach_uprobe_pmu(
        str(workload.binary), workload.offset_of("target_fn"), count.program, returns=returns
    )
    workload.run("call", str(CALLS), before=count.watch)
    attached.detach()
    assert count.counts.hits == CALLS


def test_the_uprobe_pmu_attaches_to_the_file_that_was_read_or_not_at_all(
    counter: Make, workload: Workload, tmp_path: Path
) -> None:
    """It is named by a descriptor; another file in its place gets no breakpoint."""
    count = counter(bpf.KPROBE)
    path, offset = workload.binary, workload.offset_of("target_fn")
    identity = FileIdentity.from_stat(path.stat())
    attached = links.attach_uprobe_pmu(str(path), offset, count.program, identity=identity)
    assert attached.place == f"{path}+{offset:#x}"
    workload.run("call", str(CALLS), before=count.watch)
    attached.detach()
    assert count.counts.hits == CALLS
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    with pytest.raises(links.AttachRefused, match="replaced or changed"):
        links.attach_uprobe_pmu(str(copy), offset, count.program, identity=identity)


@pytest.mark.parametrize("pmu", [False, True])
def test_a_semaphore_is_counted_up_while_attached(
    counter: Make, workload: Workload, group: str, pmu: bool
) -> None:
    """The workload sees 1 while a probe names its semaphore, and 0 after the detachment."""
    count = counter(bpf.KPROBE)
    path, offset = str(workload.binary), workload.offset_of("target_fn")
    semaphore = workload.offset_of("target_semaphore")
    if pmu:
        attached = links.attach_uprobe_pmu(path, offset, count.program, ref_counter=semaphore)
    else:
        event = Event(
            group=group, name=f"{group}_sem", path=path, offset=offset, ref_counter=semaphore
        )
        attached = links.attach_dynamic_event(event, count.program, lambda _: None)
    workload.run("semaphore", "1")
    workload.run("semaphore", "0", before=lambda _: attached.detach())


def test_perf_goes_on_counting_an_event_that_we_probe(counter: Make, workload: Workload) -> None:
    """What `perf stat` opens sees all calls of a tracepoint that carries a program of ours, which
    therefore returns 1."""
    count = counter(bpf.TRACEPOINT)
    number = dynamic_events.event_id("syscalls/sys_enter_getppid")
    attached = links.attach_perf_tracepoint(number, count.program)
    counters: list[int] = []
    workload.run("getppid", str(CALLS), before=lambda pid: counters.append(opened(number, pid)))
    attached.detach()
    assert int.from_bytes(os.read(counters[0], 8), "little") == CALLS
    os.close(counters[0])


def opened(event_id: int, pid: int) -> int:
    """An event that counts a tracepoint in one process: type, size, config of perf_event_attr."""
    attributes = struct.pack("=IIQ", perf.TYPE_TRACEPOINT, perf.ATTRIBUTE_BYTES, event_id)
    buffer = ctypes.create_string_buffer(attributes, perf.ATTRIBUTE_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    number = perf.SYSCALL[platform.machine()]
    fd: int = libc.syscall(number, buffer, pid, -1, -1, ctypes.c_ulong(perf.FLAG_FD_CLOEXEC))
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


def test_a_refused_attachment_leaves_no_definition(
    counter: Make, workload: Workload, group: str
) -> None:
    """A program of the wrong type cannot be attached, and the event made for it is gone."""
    count = counter(bpf.RAW_TRACEPOINT)
    event = Event(group=group, name=f"{group}_no", path=str(workload.binary), offset=64)
    with pytest.raises(links.AttachRefused) as refused:
        links.attach_dynamic_event(event, count.program, lambda _: None)
    assert refused.value.mechanism == "dynamic event"
    assert group not in (dynamic_events.TRACEFS / "dynamic_events").read_text()


def test_errors_tell_mechanism_place_and_reason(counter: Make) -> None:
    """A raw tracepoint that does not exist is named as such."""
    count = counter(bpf.RAW_TRACEPOINT)
    with pytest.raises(links.AttachRefused, match=r"raw tracepoint to no_such_thing: .* no trac"):
        links.attach_raw_tracepoint("no_such_thing", count.program)
