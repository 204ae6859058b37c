"""Cases for kernels with kprobes."""

from typing import Any

from orchestrator.kernel.abi.dynamic_events import Event
from tests.guest.product import run

ROOM = 8  # returns that may be outstanding at once


def few_returns(**kwargs: Any) -> dict[str, Any]:
    """tests.guest.product:run, where a return probe has room for ROOM calls and not for 1024."""
    defaults = Event.__init__.__kwdefaults__
    before = defaults["maxactive"]
    defaults["maxactive"] = ROOM
    try:
        return run(**kwargs)
    finally:
        defaults["maxactive"] = before
