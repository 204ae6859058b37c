"""A host with systemd, seen from a case: units, plans, the workload, and what a run leaves."""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.guest.product import leftovers

SHARE = Path(os.environ.get("PROBEPLAN_SHARE", "/run/share"))
PLANS = Path("/etc/probeplan/plans")
DROP_INS = Path("/etc/systemd/system")
STATE = Path("/var/lib/probeplan")
COMM = "pp-load"
PATIENCE_S = 240.0  # two runs that start at once on a busy machine
_BPF = {"x86_64": 321, "aarch64": 280}  # __NR_bpf, include/uapi/asm-generic/unistd.h
#: include/uapi/linux/bpf.h, enum bpf_prog_type: kprobe, tracepoint, perf_event, raw_tracepoint,
#: tracing. systemd has programs of other types.
_TRACING_TYPES = {2, 5, 7, 17, 26}
_GET_NEXT_ID, _GET_FD_BY_ID, _GET_INFO = 11, 13, 15


def systemctl(*words: str) -> str:
    """Its output. Raises AssertionError with what it and the journal say."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr, read_journal(words[-1]))
    return done.stdout


def show_unit(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit."""
    text = systemctl("show", unit, "--property", ",".join(names))
    return dict(line.split("=", 1) for line in text.splitlines())


def read_journal(unit: str) -> str:
    """The last lines that a unit has written."""
    words = ["journalctl", "--unit", unit, "--output", "cat", "--lines", "40", "--no-pager"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def configure_unit(unit: str, text: str, *, name: str = "proof") -> None:
    """A drop-in for one unit, as people and the Ansible role make them. Takes effect by the next
    daemon-reload. One for an instance replaces one of the same name for its template."""
    folder = DROP_INS / f"{unit}.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.conf").write_text(text)


def wait_for(condition: Callable[[], Any], what: str, unit: str = "") -> Any:
    """What `condition` returns once it is true. Raises AssertionError after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, (what, read_journal(unit) if unit else "")
        time.sleep(0.1)
    return found


def call_getppid(calls: int) -> None:
    """The workload: a process called COMM calls getppid so many times."""
    subprocess.run([_find_load(), "getppid", str(calls)], check=True, stdout=subprocess.DEVNULL)


@cache
def _find_load() -> Path:
    return Path(shutil.copy(SHARE / "load", f"/run/{COMM}"))


def has_started(events: Path) -> bool:
    """Whether a run whose lines are in this file is armed."""
    return events.exists() and b'"run.started"' in events.read_bytes()


def read_result(folder: Path) -> Mapping[str, Any]:
    """A result.json. Raises AssertionError where it is not there."""
    file = folder / "result.json"
    assert file.exists(), sorted(path.name for path in folder.iterdir())
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def sum_up_result(folder: Path) -> dict[str, Any]:
    """What the tests look at."""
    result = read_result(folder)
    run = result["run"]
    names = ("outcome", "exit_code", "complete", "delivered", "unread_lines")
    [metric] = result["metrics"]
    events = (folder / "events.jsonl").read_bytes()
    return {
        **{name: run[name] for name in names},
        "backend": result["backend"],
        "counted": sum(cell["value"] for cell in metric["cells"]),
        "events": events.count(b'"event.recorded"'),
        "lines": events.count(b"\n"),
        "last": json.loads(events.splitlines()[-1])["event"],
    }


def list_leftovers() -> list[str]:
    """What runs have in the kernel and as journals: definitions, instances, BPF programs."""
    journals = [path.name for path in Path("/run/probeplan").glob("*.journal")]
    return [*leftovers(), *journals, *(f"program {number}" for number in _list_programs())]


def _list_programs() -> list[int]:
    """The BPF programs for tracing that are loaded, by id (bpf(2))."""
    found: list[int] = []
    number = 0
    while True:
        attributes = ctypes.create_string_buffer(struct.pack("=III", number, 0, 0), 128)
        if _call_bpf(_GET_NEXT_ID, attributes) < 0:
            return found
        number = struct.unpack_from("=I", attributes, 4)[0]
        if _read_type(number) in _TRACING_TYPES:
            found.append(number)


def _read_type(number: int) -> int:
    """Of a BPF program; -1 when it is gone."""
    program = _call_bpf(_GET_FD_BY_ID, ctypes.create_string_buffer(struct.pack("=I", number), 128))
    if program < 0:
        return -1
    info = ctypes.create_string_buffer(256)
    words = struct.pack("=IIQ", program, len(info), ctypes.addressof(info))
    try:
        assert _call_bpf(_GET_INFO, ctypes.create_string_buffer(words, 128)) == 0
    finally:
        os.close(program)
    return int(struct.unpack_from("=I", info)[0])


def _call_bpf(command: int, attributes: "ctypes.Array[ctypes.c_char]") -> int:
    number = _BPF[os.uname().machine]
    called: int = ctypes.CDLL(None, use_errno=True).syscall(
        number, command, attributes, len(attributes)
    )
    return called
