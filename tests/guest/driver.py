"""Runs cases inside a guest: `python -m tests.guest.driver CASES.json RESULTS.jsonl`.

CASES.json: [{"id", "call": "module:function", "kwargs": {…}}, …]. RESULTS.jsonl gets, for each
case, {"id", "outcome": "started"} and, when it has ended, {"id", "outcome": "returned" |
"raised" | "unsupported", "value", "text", "seconds"}. A case that only started reports which one
took the machine, or this process, down.
"""

import faulthandler
import importlib
import json
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from tests.guest import Unsupported

CASE_SECONDS = 150.0


def call(reference: str, kwargs: dict[str, Any]) -> Any:
    """Calls `module:function` with `kwargs`."""
    module, _, function = reference.partition(":")
    return getattr(importlib.import_module(module), function)(**kwargs)


def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """The record of one case, whatever it does short of ending this process."""
    started = time.monotonic()
    outcome, value, text = "returned", None, ""
    signal.setitimer(signal.ITIMER_REAL, CASE_SECONDS)
    try:
        value = call(case["call"], case["kwargs"])
        json.dumps(value)
    except Unsupported as error:
        outcome, text = "unsupported", str(error)
    except BaseException:
        outcome, value, text = "raised", None, traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - started
    return {"id": case["id"], "outcome": outcome, "value": value, "text": text, "seconds": seconds}


def out_of_time(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Handler of the alarm that ends a case which waits for ever."""
    raise TimeoutError(f"the case did not end within {CASE_SECONDS:g} s")


def main(cases: Path, results: Path) -> None:
    """Runs all cases in order; each record is on disk before the next case starts."""
    faulthandler.enable()
    signal.signal(signal.SIGALRM, out_of_time)
    warm_up()
    with results.open("w") as file:
        for case in json.loads(cases.read_text()):
            put(file, {"id": case["id"], "outcome": "started"})
            put(file, run_case(case))


def warm_up() -> None:
    """Import what takes tens of seconds under emulation on a busy host. An import that a case's
    alarm cuts short leaves half a module behind, on which every later case would stumble."""
    for name in ("asyncio", "numpy", "orchestrator.run.live", "orchestrator.run.runner"):
        importlib.import_module(name)


def put(file: TextIO, record: dict[str, Any]) -> None:
    """One line, at once."""
    file.write(json.dumps(record) + "\n")
    file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
