"""The page decoder on pages of this machine's kernel."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from orchestrator.backends.tracefs.design.writes import Write, names_from_run_id
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.backends.tracefs.reader.drain import Drain
from tests.support.tracefs_runs import new_run
from tests.unit.backends.tracefs.reader.test_pages import SIZE, walked


@pytest.mark.usefixtures("nothing_left")
def test_the_kernel_s_own_pages_are_read_alike_by_both_walks(load: str, tracing: Path) -> None:
    """Many real pages: as many events as calls, the same by both ways, in time order."""
    calls = 20_000
    instance = TraceInstance(
        tracefs=tracing, names=names_from_run_id(new_run()), journal=_no, unjournal=_no
    )
    at = instance.names.directory
    event = f"{at}/events/syscalls/sys_enter_getppid"
    try:
        instance.perform_writes(
            [
                Write(action="mkdir", path=at),
                Write(action="write", path=f"{event}/filter", text=f'COMM == "{Path(load).name}"'),
                Write(action="write", path=f"{event}/enable", text="1", undo="0"),
            ]
        )
        subprocess.run([load, "getppid", str(calls)], check=True, stdout=subprocess.DEVNULL)
        drain = Drain(instance)
        events, _ = drain.take_events((1 << 63) - 1)
        assert len(events) == calls
        assert (np.diff(events.time.astype(np.int64)) >= 0).all()
        raw = bytes(drain._buffer)  # the very pages that were decoded
        count = int(events.offset.max()) // SIZE + 1
        whole = [raw[i * SIZE : (i + 1) * SIZE] for i in range(count)]
        assert walked(whole, "_walk_few") == walked(whole, "_walk_many")
        assert drain.corrupt == 0
    finally:
        instance.close()


def _no(_kind: str, _what: str) -> None:
    """No journal."""
