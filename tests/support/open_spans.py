"""A program with spans, and open ones of it as a session reports them."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from orchestrator.backends.protocol import OpenSpans
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.plan.load import load_plan
from tests.support.plans import HEAD
from tests.support.recorded import recorded

_PLAN = (
    HEAD
    + """
probes:
  opened:
    attach: kprobe:vfs_read
    let: {id: arg0, size: arg2}
  closed:
    attach: kprobe:vfs_write
    let: {id: arg0, got: arg2}
spans:
  held:
    start: opened
    end: closed
    key: [id]
    open_at_end: true
    where: start.size > 10
    metrics:
      count: {count: true}
      sizes: {sum: start.size, by: [start.comm]}
      times: {histogram: elapsed, buckets: "linear(0, 100, 10)"}
      ends: {max: end.got}
outstanding:
  heap: {open: opened, close: closed, key: [id], value: size, by: [comm], min_age: 1s}
"""
)
HELD, HEAP = 0, 1
NOT_READ = None


@cache
def spans_program() -> Program:
    """The spans `held`, counted when still open, and `heap`, which is a resource; both keep a size
    and the thread's name."""
    return compile_plan(load_plan(_PLAN.encode()), recorded("6.12"))


def name_key(comm: str) -> bytes:
    """A name as a packed key."""
    return comm.encode().ljust(16, b"\0")


def open_spans(*spans: tuple[int, int | None, str], weights: Sequence[int] = ()) -> OpenSpans:
    """Open spans by (since when in ns, size or NOT_READ, name)."""
    sizes = b"".join((size or 0).to_bytes(8, "little") for _, size, _ in spans)
    names = b"".join(name_key(comm) for _, _, comm in spans)
    return OpenSpans(
        weight=np.array(weights or [1] * len(spans), dtype=np.uint32),
        since=np.array([since for since, _, _ in spans], dtype=np.uint64),
        nulls=np.array([int(size is NOT_READ) for _, size, _ in spans], dtype=np.uint64),
        kept=(
            np.frombuffer(sizes, dtype=np.uint8).reshape(-1, 8),
            np.frombuffer(names, dtype=np.uint8).reshape(-1, 16),
        ),
    )
