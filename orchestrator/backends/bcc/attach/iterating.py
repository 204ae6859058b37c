"""Iterators are read: their programs run once for each object, in this task."""

from collections.abc import Iterable, Iterator

from orchestrator.backends.bcc.handles.attachment import AttachedSide, distinct_attachments
from orchestrator.kernel.abi.bpf_iterators import run_iterator

__all__ = ["read_iterators"]


def read_iterators(sides: Iterable[AttachedSide]) -> Iterator[str]:
    """Read each iterator among the attachments of `sides` from its first object to its last. Yields
    what went wrong: what an iterator shows is then not whole."""
    for attachment in distinct_attachments(tuple(sides)):
        if attachment.mechanism != "iterator":
            continue
        try:
            for link in attachment.fds:
                run_iterator(link)
        except OSError as error:
            yield f"iter:{attachment.place} could not be read to its end: {error.strerror}"
