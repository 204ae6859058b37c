"""Thread numbers are those of /proc."""

import os
import subprocess
import sys
import threading

from orchestrator.backends.tracefs.instance.threads import own_threads, target_threads
from orchestrator.compile.program import ResolvedTarget

CHILD = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]


def test_own_threads_are_all_of_this_process() -> None:
    started, done = threading.Event(), threading.Event()
    numbers: list[int] = []

    def wait() -> None:
        numbers.append(threading.get_native_id())
        started.set()
        done.wait(10)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait(10)
    try:
        assert {str(os.getpid()), str(numbers[0])} <= set(own_threads())
    finally:
        done.set()
        thread.join()


def test_children_are_of_the_target_only_where_it_says_so() -> None:
    with subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alone = target_threads(ResolvedTarget(pid=(os.getpid(),)), None)
        family = target_threads(ResolvedTarget(pid=(os.getpid(),), children=True), None)
        assert str(child.pid) not in alone
        assert str(child.pid) in family
        child.communicate()


def test_a_process_that_is_not_there_yet_is_named_all_the_same() -> None:
    """And a thread that is named twice is named once."""
    own = os.getpid()
    found = target_threads(ResolvedTarget(pid=(4_190_000,), tid=(own, own)), own)
    assert "4190000" in found
    assert found.count(str(own)) == 1
