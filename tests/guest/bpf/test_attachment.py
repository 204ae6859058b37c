"""Kprobes, kretprobes, fentry and fexit count exactly in kernels that have them."""

import errno

import pytest

from tests.support.guest_cases import CaseResult

CASES = "tests.guest.bpf.cases"
COMPILED = f"{CASES}:compiled"
TRACED = f"{CASES}:compiled_traced"
CALLS = 2000


@pytest.mark.guest(f"{CASES}:dynamic_kprobe", prepare=COMPILED, calls=CALLS, returns=False)
def test_a_kprobe_event_sees_each_call(guest: CaseResult) -> None:
    """N calls: N hits, none after the detachment, and no definition left."""
    _exact_event(guest)


@pytest.mark.guest(f"{CASES}:dynamic_kprobe", prepare=COMPILED, calls=CALLS, returns=True)
def test_a_kretprobe_event_sees_each_return(guest: CaseResult) -> None:
    _exact_event(guest)


def _exact_event(guest: CaseResult) -> None:
    reported = guest.result()
    assert (reported["hits"], reported["after"], reported["left"]) == (CALLS, 0, False)
    assert reported["event_hits"] >= CALLS  # other processes may call it too
    assert reported["event_misses"] == 0


@pytest.mark.guest(f"{CASES}:kprobe_pmu", prepare=COMPILED, calls=CALLS, returns=False)
def test_the_kprobe_pmu_sees_each_call(guest: CaseResult) -> None:
    assert guest.result() == {"hits": CALLS, "after": 0}


@pytest.mark.guest(f"{CASES}:kprobe_pmu", prepare=COMPILED, calls=CALLS, returns=True)
def test_the_kprobe_pmu_sees_each_return(guest: CaseResult) -> None:
    assert guest.result() == {"hits": CALLS, "after": 0}


@pytest.mark.guest(f"{CASES}:trampoline", prepare=TRACED, calls=CALLS, returns=False)
def test_fentry_sees_each_call(guest: CaseResult) -> None:
    assert guest.result() == {"hits": CALLS, "after": 0, "trial": "yes"}


@pytest.mark.guest(f"{CASES}:trampoline", prepare=TRACED, calls=CALLS, returns=True)
def test_fexit_sees_each_return(guest: CaseResult) -> None:
    assert guest.result() == {"hits": CALLS, "after": 0, "trial": "yes"}


@pytest.mark.guest(f"{CASES}:perf_tracepoint", prepare=COMPILED, calls=CALLS)
def test_a_perf_tracepoint_sees_each_call(guest: CaseResult) -> None:
    """The perf event is never enabled; its program runs in each of these kernels."""
    assert guest.result() == {"hits": CALLS, "after": 0}


@pytest.mark.guest(
    f"{CASES}:blocked_threads", prepare=f"{CASES}:compiled_with_workload", threads=100
)
def test_all_returns_of_blocked_threads_are_seen(guest: CaseResult) -> None:
    """A hundred calls at once: maxactive is large enough, as the kernel's default is not."""
    assert guest.result() == {"entry": 100, "return": 100, "misses": 0}


@pytest.mark.guest(f"{CASES}:refusals", prepare=COMPILED)
def test_refused_places_tell_their_reason_and_leave_nothing(guest: CaseResult) -> None:
    reported = guest.result()
    assert reported["missing"][0] in (errno.ENOENT, errno.EINVAL)  # EINVAL since 6.12 or before
    assert reported["missing"][1] == "Invalid probed address or symbol"
    assert reported["blacklisted"][0] == errno.EINVAL
    assert reported["mid instruction"][0] in (errno.EILSEQ, errno.EINVAL)
    assert reported["pmu missing"][0] in (errno.ENOENT, errno.EINVAL)
    assert reported["left"] == [0]


@pytest.mark.guest(f"{CASES}:large_ring", size=1 << 25)
def test_a_low_memlock_limit_does_not_stop_us(guest: CaseResult) -> None:
    """32 MiB where the limit is 64 KiB: lifted when the kernel says EPERM, and only then."""
    taken = guest.result()
    assert taken is None or taken >= 1 << 25


@pytest.mark.guest(f"{CASES}:trials")
def test_trials_find_out_what_the_kernel_has(guest: CaseResult) -> None:
    """5.10 lacks the fetching atomics alone."""
    reported = guest.result()
    old = reported["release"].startswith("5.10.")
    assert reported["fetch_atomics"] == ("no" if old else "yes"), reported["fetch_atomics_reason"]
    rest = ("bpf", "raw_tracepoint", "ringbuf", "mmap_array", "jiffies64")
    assert {reported[name] for name in rest} == {"yes"}


@pytest.mark.guest(f"{CASES}:busy_definition", prepare=COMPILED)
def test_a_busy_definition_is_removed_once_it_is_free(guest: CaseResult) -> None:
    assert guest.result()
