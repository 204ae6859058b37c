"""Probes in user code where processes are the target: only these have the breakpoint, all of their
calls are counted, and nothing else is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.protocol import Session
from tests.live.bcc.test_counts import LIMITS
from tests.support.bcc_runs import Run, balanced, run

N = 100
NOBODY = 65534
#: A function of libc that no program here calls by itself.
PROBE = """
probes:
  p: {attach: "ufunction:libc.so.6:srand48", metrics: {n: {count: true}}}
"""
#: Calls from the first thread, from one that was there before, from a new one, from a child of the
#: one before, and from that child after it has executed another program; then the first thread ends
#: by itself, and the one before calls again.
_TARGET = """
import ctypes, os, sys, threading
libc = ctypes.CDLL("libc.so.6")
calls = lambda: [libc.srand48(7) for _ in range(100)]
asked, first_is_gone = threading.Event(), threading.Event()

def before():
    asked.wait()
    calls()
    child = os.fork()
    if child == 0:
        calls()
        again = "import ctypes; [ctypes.CDLL('libc.so.6').srand48(7) for _ in range(100)]"
        os.execv(sys.executable, [sys.executable, "-c", again])
    os.waitpid(child, 0)
    first_is_gone.wait()
    while open(f"/proc/self/task/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z":
        pass
    calls()
    os._exit(0)

old = threading.Thread(target=before)
old.start()
print("ready", flush=True)
if sys.stdin.readline():
    calls()
    new = threading.Thread(target=calls)
    new.start()
    new.join()
    asked.set()
    first_is_gone.set()
    libc.syscall(60, 0)
"""
_OTHER = "import ctypes; [ctypes.CDLL('libc.so.6').srand48(7) for _ in range(1000)]"
_OF_TARGET, _OF_CHILD = 4 * N, 2 * N


@contextmanager
def waiting(user: int | None = None) -> Iterator["subprocess.Popen[str]"]:
    """The target, ready and without a call so far."""
    words = [sys.executable, "-c", _TARGET]
    with subprocess.Popen(words, stdin=-1, stdout=-1, text=True, user=user, group=user) as target:
        assert target.stdout is not None
        assert target.stdout.readline() == "ready\n"
        try:
            yield target
        finally:
            target.kill()


def go(target: "subprocess.Popen[str]") -> Any:
    """Lets it do all its calls, and another process a thousand."""

    def act(_session: Session) -> None:
        subprocess.run([sys.executable, "-c", _OTHER], check=True)
        assert target.stdin is not None
        target.stdin.write("go\n")
        target.stdin.close()
        assert target.wait(timeout=60) == 0

    return act


def entry(made: Run) -> tuple[Any, ...]:
    balanced(made)
    side = made.side(0, "entry")
    counted = made.metric("n")[0].count if made.metric("n") else 0
    assert counted == made.side(0, "return").accepted == side.accepted
    return side.fired, side.accepted, side.not_target, side.kernel_missed


@pytest.mark.parametrize(
    ("children", "counts"),
    [
        ("", (_OF_TARGET + _OF_CHILD, _OF_TARGET, _OF_CHILD, 0)),
        (", children: true", (_OF_TARGET + _OF_CHILD, _OF_TARGET + _OF_CHILD, 0, 0)),
    ],
)
def test_the_calls_of_a_process_are_counted_and_no_other_process_is_hit(
    children: str, counts: tuple[int, ...]
) -> None:
    """Old and new threads, also once the first has ended; with `children`, those too, also after
    exec. The thousand calls of another process do not even get to the probe, and no miss is
    unknown."""
    with waiting() as target:
        plan = f"{LIMITS}target: {{pid: {target.pid}{children}}}\n{PROBE}"
        assert entry(run(plan, during=go(target))) == counts


def test_children_that_may_gain_privileges_are_followed_in_every_process() -> None:
    """Their events would go when they execute a set-user-ID program."""
    with waiting(NOBODY) as target:
        plan = f"{LIMITS}target: {{pid: {target.pid}, children: true}}\n{PROBE}"
        counts = entry(run(plan, during=go(target)))
    assert counts == (1000 + _OF_TARGET + _OF_CHILD, _OF_TARGET + _OF_CHILD, 1000, 0)


def test_a_process_of_any_user_has_it_alone_while_children_are_not_followed() -> None:
    with waiting(NOBODY) as target:
        made = run(f"{LIMITS}target: {{pid: {target.pid}}}\n{PROBE}", during=go(target))
    assert entry(made) == (_OF_TARGET + _OF_CHILD, _OF_TARGET, _OF_CHILD, 0)


def test_a_thread_is_a_target_as_well() -> None:
    with waiting() as target:
        plan = f"{LIMITS}target: {{tid: {target.pid}}}\n{PROBE}"
        fired, accepted, _, missed = entry(run(plan, during=go(target)))
        assert (fired, accepted, missed) == (_OF_TARGET + _OF_CHILD, N, 0)


#: Calls, then those of a child, and of a program that it starts; in between another process calls.
_COMMAND = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL("libc.so.6")
open(sys.argv[1], "w").close()
open(sys.argv[2]).read()
calls = lambda: [libc.srand48(7) for _ in range(100)]
calls()
if os.fork() == 0:
    calls()
    os._exit(0)
os.wait()
again = "import ctypes; [ctypes.CDLL('libc.so.6').srand48(7) for _ in range(100)]"
subprocess.run([sys.executable, "-c", again], check=True)
"""
_NEIGHBOUR = """
import ctypes, sys
open(sys.argv[1]).read()
[ctypes.CDLL("libc.so.6").srand48(7) for _ in range(1000)]
open(sys.argv[2], "w").close()
"""


def test_a_command_and_its_children_are_counted_and_no_other_process_is_hit(tmp_path: Path) -> None:
    """From its first instruction, by fork and by exec; a stranger's calls meanwhile are not."""
    pipes = [str(tmp_path / "asked"), str(tmp_path / "done")]
    for pipe in pipes:
        os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", _NEIGHBOUR, *pipes]) as neighbour:
        command = [sys.executable, "-c", _COMMAND, *pipes]
        made = run(LIMITS + "target: {children: true}\n" + PROBE, command, root=True)
        assert neighbour.wait(timeout=60) == 0
    assert entry(made) == (3 * N, 3 * N, 0, 0)


def test_a_process_that_is_not_there_yet_is_waited_for_in_every_process() -> None:
    """Nothing is bound, so that nothing is missed."""
    with waiting() as target:
        made = run(f"{LIMITS}target: {{pid: {2**22 - 1}}}\n{PROBE}", during=go(target))
    fired, accepted, _, missed = entry(made)
    assert (fired, accepted, missed) == (1000 + _OF_TARGET + _OF_CHILD, 0, 0)


def test_where_no_process_is_named_every_process_has_the_probe() -> None:
    with waiting() as target:
        made = run(LIMITS + PROBE, during=go(target))
    fired, accepted, _, missed = entry(made)
    assert (fired, accepted, missed) == (1000 + _OF_TARGET + _OF_CHILD,) * 2 + (0,)
