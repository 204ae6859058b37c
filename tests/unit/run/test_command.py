"""Whose children still run when a command has ended."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.run.command import _read_children


@contextmanager
def fleeting_threads() -> Iterator[None]:
    """Threads of this process that come and go all the time."""
    over = threading.Event()

    def make() -> None:
        while not over.is_set():
            short = threading.Thread(target=int)
            short.start()
            short.join()

    makers = [threading.Thread(target=make) for _ in range(3)]
    for maker in makers:
        maker.start()
    try:
        yield
    finally:
        over.set()
        for maker in makers:
            maker.join()


def test_children_are_found_while_threads_come_and_go() -> None:
    """A thread that ends between the list of threads and its list of children is passed over."""
    with subprocess.Popen(["sleep", "infinity"]) as child:
        try:
            with fleeting_threads():
                found = [_read_children() for _ in range(2000)]
        finally:
            child.kill()
    assert all(child.pid in one for one in found)
