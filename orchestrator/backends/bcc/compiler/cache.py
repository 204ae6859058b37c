"""Compiled instructions on disk, so that a plan that ran before starts without a compiler.

The numbers that a text leaves open are no part of them: a plan that ran with another target, or on
another kernel of the same shape, starts without a compiler too.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import get_args

from orchestrator.backends.bcc.compiler.places import OpenPlace, OpenProgram, PlaceForm
from orchestrator.backends.kept_files import read_kept, write_kept

INSTRUCTION_SIZE = 8  # struct bpf_insn, include/uapi/linux/bpf.h


def read_compiled(key: str, functions: Sequence[str]) -> OpenProgram | None:
    """The kept instructions, or None when there are none that can be trusted."""
    body = read_kept(key)
    try:
        return None if body is None else _decode_compiled(body, functions)
    except (ValueError, KeyError, TypeError):
        return None


def write_compiled(key: str, compiled: OpenProgram) -> None:
    """Store instructions, atomically. An unwritable directory is not an error: we compile again."""
    write_kept(key, _encode_compiled(compiled))


def _encode_compiled(compiled: OpenProgram) -> bytes:
    code = {name: b64encode(function).decode() for name, function in compiled.code.items()}
    places = [
        [place.function, place.instruction, place.form, place.slot] for place in compiled.places
    ]
    return json.dumps({"code": code, "places": places}).encode()


def _decode_compiled(body: bytes, functions: Sequence[str]) -> OpenProgram:
    table = json.loads(body)
    code = {name: b64decode(table["code"][name], validate=True) for name in functions}
    if any(not function or len(function) % INSTRUCTION_SIZE for function in code.values()):
        raise ValueError("not a whole number of instructions")
    return OpenProgram(code=code, places=tuple(_decode_place(*row) for row in table["places"]))


def _decode_place(function: str, instruction: int, form: PlaceForm, slot: int) -> OpenPlace:
    if form not in get_args(PlaceForm) or not all(isinstance(n, int) for n in (instruction, slot)):
        raise ValueError("not a place")
    return OpenPlace(function=function, instruction=instruction, form=form, slot=slot)
