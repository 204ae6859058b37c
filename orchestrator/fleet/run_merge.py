"""Merging files: reads them one after the other, and adds or lists each; many of them in several
processes, each of which merges a share."""

import gc
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from orchestrator.fleet.document import MERGE_FORMAT, merge_from_document
from orchestrator.fleet.host_result import HostResult, parse_result
from orchestrator.fleet.merging import Merge
from orchestrator.fleet.reading import InputFile, UnreadFile, read_document

__all__ = ["merge_files", "merge_shares"]

#: Starting a process and taking over its sums costs as much as reading so many files.
_FEWEST_FILES = 1000
_MOST_PROCESSES = 8


def merge_shares(files: Sequence[InputFile]) -> Merge:
    """The merge of these files, as of `merge_files`, on all CPUs where they are many."""
    count = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, len(files) // _FEWEST_FILES)
    if count < 2:
        return merge_files(files)
    return _merge_in_processes(files, count) or merge_files(files)


def _merge_in_processes(files: Sequence[InputFile], count: int) -> Merge | None:
    """None where shares have runs in common, of which the first file counts, where a process was
    killed, or where the host has no semaphores for them."""
    from concurrent.futures import ProcessPoolExecutor  # 20 ms, for many files
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    size = -(-len(files) // count)
    shares = [files[start : start + size] for start in range(0, len(files), size)]
    whole = Merge()
    try:
        with (
            ProcessPoolExecutor(
                count, get_context("fork"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
            ) as pool,
            _no_collection(),  # also in the processes, which the first share starts
        ):
            for share in pool.map(merge_files, shares):
                if whole.rows.keys() & share.rows.keys():
                    return None
                whole.absorb(share, "")
    except (BrokenProcessPool, ImportError, NotImplementedError, OSError):
        return None
    return whole


def merge_files(
    files: Sequence[InputFile], added: Callable[[HostResult], None] = lambda _result: None
) -> Merge:
    """The merge of these files, in their order. `added` gets each result that is added."""
    merge = Merge()
    with _no_collection():
        for file in files:
            try:
                _add_file(merge, file, added)
            except UnreadFile as why:
                merge.refuse(file.path, why)
    return merge


@contextmanager
def _no_collection() -> Iterator[None]:
    """Documents have no cycles, and looking for them takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _add_file(merge: Merge, file: InputFile, added: Callable[[HostResult], None]) -> None:
    document = read_document(file)
    if file.is_merge or document.get("format") == MERGE_FORMAT:
        merge.absorb(merge_from_document(document), file.path)
        return
    result = parse_result(document)
    if merge.add_result(result, file.path):
        added(result)
