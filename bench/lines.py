"""The renderer alone: records in memory to JSON lines in memory, compared with one dumps per
record."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.figures import Figure
from bench.setting import PLANS, NotPossible, Setting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.compile.program import Program

__all__ = ["lines"]

BATCH = 4096  # records that the runner renders at once
BATCHES = 1000
_START_NS, _STEP_NS = 1_000_000_000_000, 400
_CONSTANTS = {"run_id": "65f0aa01abcdef", "plan": "bench-drain", "host": "host"}


def lines(setting: Setting) -> list[Figure]:
    """M lines per CPU second, of the records that plan `drain` makes. The one-by-one renderer gets
    a tenth as many."""
    from orchestrator.output.json_lines.lines import RecordRenderer

    program = _program()
    renderer = RecordRenderer(program.emits, _CONSTANTS, time.time_ns())
    batch = _batch(program)
    batches = setting.of(BATCHES)
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(setting.rounds):
        setting.say(f"lines: round {number + 1}")
        mine.append(_rate(lambda: bytes(renderer.render(batch)), batches))
        theirs.append(_rate(lambda: _dump(batch), max(1, batches // 10)))
    return [
        Figure(
            name="lines per CPU second, rendered alone",
            unit="M/s",
            ours=mine,
            peer="orjson.dumps a record",
            theirs=theirs,
        )
    ]


def _rate(render: Callable[[], bytes], batches: int) -> float:
    """M lines per CPU second. Raises NotPossible when a line is missing."""
    if render().count(b"\n") != BATCH:
        raise NotPossible("not every record became a line")
    start = time.process_time()
    for _ in range(batches):
        render()
    return batches * BATCH / (time.process_time() - start) / 1e6


def _program() -> "Program":
    from orchestrator.compile.lower import compile_plan
    from orchestrator.kernel.facts import live_facts
    from orchestrator.plan.load import load_plan

    return compile_plan(load_plan(str(PLANS / "drain.yaml")), live_facts())


def _fields() -> "np.dtype[Any]":
    """The header of a record, and the one field of plan `drain`."""
    import numpy as np

    from orchestrator.compile.program import RECORD_HEADER

    forms = {"u64": "<u8", "u32": "<u4", "u16": "<u2", "string": "S16"}
    header = [(name, forms[form]) for name, form, _ in RECORD_HEADER]
    return np.dtype([*header, ("nr", "<i4"), ("pad", "<u4")])


def _batch(program: "Program") -> "NDArray[np.uint8]":
    """Records of one process, over a millisecond or two."""
    import numpy as np

    records = np.zeros(BATCH, dtype=_fields())
    records["time"] = _START_NS + _STEP_NS * np.arange(BATCH, dtype=np.uint64)
    for name, value in {"pid": 4321, "tid": 4321, "weight": 1, "comm": b"load", "nr": 110}.items():
        records[name] = value
    raw = records.view(np.uint8).reshape(BATCH, -1)
    return np.ascontiguousarray(raw[:, : program.record_size])


def _dump(batch: "NDArray[np.uint8]") -> bytes:
    """The same keys, a dictionary and a dumps for each record."""
    import orjson

    offset = time.time_ns()
    found = []
    for row in batch.view(_fields())[:, 0].tolist():
        stamp, _, cpu, pid, tid, weight, _, _, comm, nr, _ = row
        line = {
            "ts": stamp + offset,
            "level": "info",
            "event": "event.recorded",
            **_CONSTANTS,
            "probe": "call",
            "time_unix_nano": stamp + offset,
            "cpu": cpu,
            "pid": pid,
            "tid": tid,
            "comm": comm.decode(errors="replace"),
            "weight": weight,
            "data": {"nr": nr},
        }
        found.append(orjson.dumps(line) + b"\n")
    return b"".join(found)
