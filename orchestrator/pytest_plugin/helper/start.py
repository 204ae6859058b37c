"""The start of the helper's process: it leaves its parent before it imports anything."""

import contextlib
import os
import sys

__all__ = ["COMM", "main"]

COMM = b"probeplan-tests"


def main(descriptor: int, owner: int) -> None:
    """Serve the process `owner`, which started this one, as none of its descendants."""
    pidfd = os.pidfd_open(owner)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as comm:  # noqa: PTH123
        comm.write(COMM)
    from orchestrator.pytest_plugin.helper.service import serve
    from orchestrator.run.startup import own_process

    own_process()
    serve(descriptor, owner, pidfd)
    sys.exit(0)
