# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""Following a run to its end: of its log, which may be long, only what matters is kept in memory.

The log is read as fast as it is written, since a reader that lags costs the run records.
"""

from __future__ import annotations

import collections
import json
import selectors
import signal
import subprocess
import time

_CHUNK = 1 << 18
_MOST_LINE = 16 << 20
_MOST_MESSAGES = 64 << 10
_LOOK_S = 0.2
#: How long a run that was asked to end may take to detach, before it is killed.
_GRACE_S = 30
#: The log quotes every `"` within texts, so that these bytes are in records of this kind only.
_STEP = b'"event":"governor.stepped"'

Ended = collections.namedtuple("Ended", "exit_code record governor_steps messages timed_out")
Ended.__doc__ = """A run that is over. `exit_code`: 128 + signal where a signal ended it; `record`:
the last line of its log (None: there is none); `messages`: the end of its standard error."""


class LogReader:
    """Reads a log in pieces, and keeps its last line."""

    def __init__(self):
        self._rest = b""
        self.governor_steps = 0

    def feed(self, chunk):
        """Take the next bytes of the log."""
        overlap = self._rest[-(len(_STEP) - 1) :]
        self.governor_steps += (overlap + chunk).count(_STEP)
        text = self._rest + chunk
        last = text.rfind(b"\n", 0, text.rfind(b"\n"))
        self._rest = text[last + 1 :][-_MOST_LINE:]

    def last_record(self):
        """The last whole line as a mapping; None where it is none."""
        line = self._rest.partition(b"\n")[0]
        try:
            record = json.loads(line)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None


def follow_run(argv, timeout_s=None):
    """Run `argv` to its end, or ask it to end after `timeout_s` seconds; returns an Ended. Raises
    OSError where it cannot be started."""
    log = LogReader()
    messages = bytearray()

    def note(chunk):
        messages.extend(chunk)
        del messages[:-_MOST_MESSAGES]

    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        bufsize=0,
        start_new_session=True,  # what kills the module, as `async` does, must not kill the run
    ) as process:
        timed_out = _read_all(process, {process.stdout: log.feed, process.stderr: note}, timeout_s)
    code = process.returncode
    return Ended(
        exit_code=128 - code if code < 0 else code,
        record=log.last_record(),
        governor_steps=log.governor_steps,
        messages=messages.decode("utf-8", "replace"),
        timed_out=timed_out,
    )


def _read_all(process, takers, timeout_s):
    """Hand on what the process writes, until it has ended; returns whether time ran out. A
    descendant that keeps the pipes open is not waited for."""
    deadline = _Deadline(process, timeout_s)
    with selectors.DefaultSelector() as selector:
        for stream, take in takers.items():
            selector.register(stream, selectors.EVENT_READ, take)
        while selector.get_map():
            has_ended = process.poll() is not None
            ready = selector.select(0 if has_ended else _LOOK_S)
            for key, _events in ready:
                chunk = key.fileobj.read(_CHUNK)
                key.data(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
            if has_ended and not ready:
                break
            deadline.enforce()
    while process.poll() is None:
        deadline.enforce()
        time.sleep(_LOOK_S)
    return deadline.has_passed


class _Deadline:
    """The time at which a run is asked to end, and, if it does not, killed."""

    def __init__(self, process, timeout_s):
        self._process = process
        self._at = None if timeout_s is None else time.monotonic() + timeout_s
        self.has_passed = False

    def enforce(self):
        if self._at is None or time.monotonic() < self._at:
            return
        if self.has_passed:
            self._process.kill()
            self._at = None
        else:
            self.has_passed = True
            self._process.send_signal(signal.SIGTERM)
            self._at += _GRACE_S
