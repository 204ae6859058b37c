"""A stand-in for QEMU with a monitor: stores a made-up machine, and goes on from it.

Its program's result is what was stored, the seed, and the clock that it finds.
"""

import json
import os
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from orchestrator.output.framed_bytes import frame_bytes


def make_stored(
    *, bias: int, counted: int, ends: int, ended: int = 0, memory: bytes = b"memory"
) -> bytes:
    """A stored machine as QEMU's migration/savevm.c writes it, in as far as it is read. `ends`:
    where the timer of its CPU does, -1 for one that has ended, at `ended`."""

    def number(value: int, size: int = 8) -> bytes:
        return value.to_bytes(size, "big", signed=True)

    timer = b"\x04" + number(3, 4) + b"\x05timer" + number(0, 4) + number(2, 4) + bytes(24)
    timer += b"\x05\x0ctimer/icount" + number(1, 4) + number(bias) + number(counted)
    timer += b"\x7e" + number(3, 4)
    apic = b"\x04" + number(9, 4) + b"\x04apic" + number(0, 4) + number(3, 4)
    apic += bytes(4) + bytes(32) + number(ended) + number(ends) + b"\x7e" + number(9, 4)

    def field(name: str, size: int, **more: int) -> dict[str, Any]:
        return {"name": name, "type": "x", "size": size, **more}

    icount = {
        "vmsd_name": "timer/icount",
        "version": 1,
        "fields": [field("qemu_icount_bias", 8), field("qemu_icount", 8)],
    }
    registers = [field("apicbase", 4), field("isr", 4, array_len=8)]
    registers += [field("next_time", 8), field("timer_expiry", 8)]
    devices = [
        {"name": "timer", "version": 2, "fields": [], "subsections": [icount]},
        {"name": "apic", "version": 3, "fields": registers},
    ]
    text = json.dumps({"page_size": 4096, "devices": devices}).encode()
    return memory + timer + apic + b"\0\x06" + number(len(text), 4) + text


def main(mode: str) -> None:
    """Play QEMU; `mode`: what goes wrong."""
    words = sys.argv[1:]
    if "--version" in words:
        print("QEMU emulator version 7.2.22 (x)")
        return
    text = " ".join(words)
    (monitor,) = re.findall(r"socket,id=monitor,fd=(\d+)", text)
    (result,) = re.findall(r"file,id=result,path=(\S+)", text)
    incoming = re.findall(r"-incoming fd:(\d+)", text)
    with socket.socket(fileno=int(monitor)) as channel:
        channel.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\r\n')
        if not incoming:
            print("probeplan-machine: program starts", flush=True)
        _Play(channel, mode, text, result, incoming).serve()


class _Play:
    def __init__(
        self, channel: socket.socket, mode: str, text: str, result: str, incoming: list[str]
    ) -> None:
        self._channel, self._mode, self._text = channel, mode, text
        self._result, self._incoming = result, incoming
        self._given: list[int] = []
        self._asked = 0

    def serve(self) -> None:
        while True:
            request, given, _, _ = socket.recv_fds(self._channel, 1 << 16, 1)
            if not request:
                return
            self._given += given
            name = json.loads(request)["execute"].replace("-", "_")
            answer: dict[str, Any] | None = getattr(self, f"_{name}", dict)()
            if answer is not None:
                self._say(answer if "error" in answer else {"return": answer})

    def _say(self, message: Any) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\r\n")

    def _migrate_set_parameters(self) -> dict[str, Any] | None:
        if self._mode == "ends early":
            self._say({"return": {}})
            self._end(b"early")
        if self._mode != "never waits":
            if self._mode == "panics":
                print("Kernel panic - not syncing: Oops", flush=True)
            # The answer and both events at once, as they may come.
            said: tuple[Any, ...] = ({"event": "GUEST_PANICKED"}, {"event": "STOP"})
            text = b"".join(json.dumps(one).encode() + b"\r\n" for one in ({"return": {}}, *said))
            self._channel.sendall(text)
        return None if self._mode != "never waits" else {}

    def _migrate(self) -> dict[str, Any]:
        if self._mode == "refuses":
            return {"error": {"class": "GenericError", "desc": "no such thing"}}
        bias = 1000 if self._mode == "clock went on" else 0
        os.write(self._given[0], make_stored(bias=5_000 + bias, counted=500, ends=7_000))
        return {}

    def _query_migrate(self) -> dict[str, Any]:
        self._asked += 1
        if self._mode == "no space":
            return {"status": "failed", "error-desc": "No space left on device"}
        return {"status": "completed" if self._asked > 1 else "active"}

    def _query_status(self) -> dict[str, Any]:
        self._asked += 1
        return {"status": "guest-panicked" if self._asked > 1 else "inmigrate"}

    def _cont(self) -> NoReturn:
        if self._mode == "stops again":
            self._say({"return": {}})
            self._say({"event": "STOP", "timestamp": {}})
            time.sleep(60)
        if self._mode == "dies":
            print("qemu: it is broken", flush=True)
            os._exit(1)
        stored = os.read(int(self._incoming[0]), 1 << 20)
        (seed,) = re.findall(r"-seed (\d+)", self._text)
        self._say({"return": {}})
        self._end(seed.encode() + b" " + stored)

    def _end(self, result: bytes) -> NoReturn:
        Path(self._result).write_bytes(frame_bytes(result))
        os._exit(0)
