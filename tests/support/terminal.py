"""`probeplan run` on a terminal of its size, and what it was sent."""

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress

from tests.support.product import ROOT

_UNSET = ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")
_SEQUENCE = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]")


def on_terminal(
    *words: str, columns: int = 90, end_after: str = "", **environment: str
) -> tuple[int, str]:
    """`probeplan run` on a separate terminal: exit code, and what it was sent. `end_after`: what
    has to be seen before the command's input ends."""
    command = [sys.executable, "-m", "orchestrator.cli", "run", *words]
    kept = {name: value for name, value in os.environ.items() if name not in _UNSET}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**kept, "TERM": "xterm-256color", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    sent = b""
    with suppress(OSError):  # EIO: all have closed it
        while part := os.read(ours, 65536):
            sent += part
            if end_after and end_after.encode() in sent:
                os.write(ours, b"\x04")  # Ctrl-D
                end_after = ""
    os.close(ours)
    return process.wait(timeout=60), sent.decode()


def plain(text: str) -> list[str]:
    """The lines without control sequences."""
    return _SEQUENCE.sub("", text).replace("\r\n", "\n").split("\n")
