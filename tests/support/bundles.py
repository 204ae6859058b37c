"""Bundles for tests, made without a compiler, and their files taken apart and put together again
with digests that are right."""

import hashlib
import json
import lzma
import struct
from collections.abc import Callable
from typing import Any

from orchestrator.backends.bcc.compiler.places import OpenPlace, OpenProgram
from orchestrator.bundle.file import write_bundle
from orchestrator.bundle.model import Bundle, BundledProgram, MatrixRow, Settings
from orchestrator.bundle.stream import fold_stream, unfold_stream

__all__ = [
    "KEYS",
    "fold_all",
    "fold_parts",
    "make_bundle",
    "make_code",
    "make_row",
    "rewrite_bundle",
    "unfold_all",
    "unfold_parts",
]

KEYS = ("a" * 64, "b" * 64)
PLAN = b"""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: switches, summary: Who is switched to}
probes:
  run:
    attach: tracepoint:sched:sched_switch
    emit: {next: args.next_comm}
"""
_ADD, _WIDE, _LOAD, _EXIT = 0x07, 0x18, 0x61, 0x95


def make_code(*opcodes: int) -> bytes:
    """Instructions with these opcodes; the first may be one of 16 bytes."""
    return b"".join(struct.pack("=BBhi", opcode, 1, 0, 0) for opcode in opcodes)


def make_bundle(**changes: Any) -> Bundle:
    """A bundle of two programs, one of which has places of all three forms."""
    code = {
        "enter": make_code(_ADD, _WIDE, 0, _LOAD, _EXIT),
        "leave": make_code(_LOAD, _EXIT),
    }
    places = (
        OpenPlace(function="enter", instruction=0, form="add", slot=0),
        OpenPlace(function="enter", instruction=1, form="wide", slot=1),
        OpenPlace(function="enter", instruction=3, form="record", slot=2),
    )
    slots = ("task_struct.pid", "target.pid", "sched:sched_switch.prev_pid")
    shape = {"fetching atomics": "yes"}
    fetching = BundledProgram(
        program=OpenProgram(code=code, places=places), slots=slots, shape=shape
    )
    plain = BundledProgram(
        program=OpenProgram(code={"leave": code["leave"]}),
        slots=(),
        shape={"fetching atomics": "no"},
    )
    usual, other = Settings(), Settings(params={"top": "5"}, target={"pid": "7"}, command=True)
    given: dict[str, Any] = {
        "created": 1_790_000_000,
        "expires": 1_800_000_000,
        "builder": "0.1.0",
        "compiler": "0.26.0",
        "arch": "x86_64",
        "plan_name": "switches",
        "plan_file": "switches.yaml",
        "plan_text": PLAN,
        "settings": (usual, other),
        "matrix": (
            make_row(settings=usual),
            make_row(settings=other, key=None, backend=None, trimmed=None, memory=None),
            make_row(settings=other, key=KEYS[1], fetching="none", trampolines="none"),
        ),
        "programs": dict(zip(KEYS, (fetching, plain), strict=True)),
    }
    return Bundle(**{**given, **changes})


def make_row(**changes: Any) -> MatrixRow:
    """A row of a bundle's matrix."""
    given: dict[str, Any] = {
        "kernel": "6.1",
        "release": "6.1.0-44-amd64",
        "arch": "x86_64",
        "build_id": "7c" * 20,
        "trimmed": False,
        "settings": Settings(),
        "fetching": "as recorded",
        "trampolines": "as recorded",
        "backend": "bcc",
        "key": KEYS[0],
        "mechanisms": {"tracepoint:sched:sched_switch": "perf tracepoint"},
        "alternatives": {"run": "tracepoint:sched:sched_switch"},
        "skipped": {},
        "memory": 4096,
        "reasons": (),
    }
    return MatrixRow(**{**given, **changes})


def unfold_parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The head as plain data, without its digest, and the instructions."""
    line, body = unfold_stream(content)
    head = json.loads(line)
    del head["sha256"]
    return head, body


def fold_parts(head: object, body: bytes) -> bytes:
    """The file of such parts, with the digest of the head that belongs there."""
    rest = json.dumps(head, sort_keys=True, separators=(",", ":"))[1:].encode()
    return fold_stream(b'{"sha256":"%s",%s' % (_digest(rest), rest), body)


def rewrite_bundle(
    change: Callable[[dict[str, Any]], object], content: bytes | None = None, body: bytes = b""
) -> bytes:
    """The file with its head changed, and `body` after its instructions."""
    head, instructions = unfold_parts(write_bundle(make_bundle()) if content is None else content)
    change(head)
    return fold_parts(head, instructions + body)


def unfold_all(content: bytes) -> bytes:
    """All that is in the stream."""
    return lzma.decompress(content)


def fold_all(content: bytes) -> bytes:
    """A stream of any bytes."""
    return lzma.compress(content, check=lzma.CHECK_CRC32, preset=0)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
