"""Programs that are loaded by several threads: the verifier takes milliseconds of CPU time for
each, and a kernel verifies as many at once as there are CPUs."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping

__all__ = ["LoadingAhead"]

_MOST_THREADS = 8


class LoadingAhead:
    """Programs by name, loaded in the order of `loaders`, which return descriptors. The thread that
    takes them loads, too, while it would wait."""

    def __init__(self, loaders: Mapping[str, Callable[[], int]]) -> None:
        self._left = deque(loaders.items())
        self._is_over = {name: threading.Event() for name in loaders}
        self._loaded: dict[str, int] = {}
        self._errors: dict[str, Exception] = {}
        count = min(len(loaders), os.cpu_count() or 1, _MOST_THREADS) - 1
        self._threads = [threading.Thread(target=self._load_all) for _ in range(count)]
        with contextlib.suppress(RuntimeError):  # no more threads may be allowed
            for thread in self._threads:
                thread.start()

    def __contains__(self, name: str) -> bool:
        return name in self._is_over

    def take(self, name: str) -> int:
        """The descriptor of a program, which is the caller's from now on. Raises what loading it
        raised; KeyError where there is none of that name."""
        is_over = self._is_over[name]
        while not is_over.is_set() and self._load_next():
            pass
        is_over.wait()
        if name in self._errors:
            raise self._errors[name]
        return self._loaded.pop(name)

    def close(self) -> None:
        """Load no more, and unload what was not taken. Idempotent."""
        self._left.clear()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        while self._loaded:
            os.close(self._loaded.popitem()[1])

    def _load_all(self) -> None:
        while self._load_next():
            pass

    def _load_next(self) -> bool:
        """Load one; False where all are loaded or being loaded."""
        try:
            name, load = self._left.popleft()
        except IndexError:
            return False
        try:
            self._loaded[name] = load()
        except Exception as error:  # raised where it is taken
            self._errors[name] = error
        self._is_over[name].set()
        return True
