"""Programs that leave this machine are compiled twice, with other placeholders each time.

The two results may differ at the places of open numbers and nowhere else. A difference elsewhere
would be a place that was overlooked, or one that is none: hosts would load a wrong number.
"""

import hashlib
from collections.abc import Mapping, Sequence

from orchestrator.backends.bcc.compiler import cache, clang
from orchestrator.backends.bcc.compiler.key import make_key
from orchestrator.backends.bcc.compiler.places import (
    OpenPlace,
    OpenProgram,
    StrayPlaceholderError,
    choose_placeholders,
    fill_program,
    find_places,
)
from orchestrator.backends.bcc.emit.open_numbers import MOST_SLOTS
from orchestrator.backends.protocol import OpenNumber

__all__ = ["compile_checked"]

_ZEROS = (OpenNumber(name="", value=0),) * MOST_SLOTS
_PAIRS = ((0, 1), (2, 3))  # of placeholders, from different ranges; one in 10^5 is in a text


def compile_checked(text: str, functions: Sequence[str], arch: str) -> OpenProgram:
    """As `clang.compile_kept`, compiled twice and compared; at its places the program has zeros,
    whichever placeholders they had. It is kept apart from programs that were compiled once.

    Raises CompilerMissingError without bcc, else CompileError, also where the two differ.
    """
    key = make_key(text, functions, arch=arch)
    name = hashlib.sha256(f"compiled twice\0{key}".encode()).hexdigest()
    program = cache.read_compiled(name, functions)
    if program is None:
        program = _compile_twice(text, functions)
        cache.write_compiled(name, program)
    return program


def _compile_twice(text: str, functions: Sequence[str]) -> OpenProgram:
    for pair in _PAIRS:
        try:
            first, second = _compile_pair(text, functions, pair)
        except StrayPlaceholderError as error:
            stray = error
        else:
            _compare_programs(first, second)
            return first
    raise clang.CompileError(f"a placeholder is among the program's own numbers: {stray}")


def _compile_pair(
    text: str, functions: Sequence[str], attempts: Sequence[int]
) -> tuple[OpenProgram, ...]:
    chosen = [choose_placeholders(text, attempt) for attempt in attempts]
    codes = clang.compile_texts([one.define() + text for one in chosen], functions)
    return tuple(
        _with_zeros(code, find_places(code, placeholders))
        for code, placeholders in zip(codes, chosen, strict=True)
    )


def _with_zeros(code: Mapping[str, bytes], places: tuple[OpenPlace, ...]) -> OpenProgram:
    filled = fill_program(OpenProgram(code=code, places=places), _ZEROS)
    return OpenProgram(code=filled, places=places)


def _compare_programs(first: OpenProgram, second: OpenProgram) -> None:
    if first == second:
        return
    differing = [name for name in first.code if first.code[name] != second.code[name]]
    where = f" in {', '.join(differing)}" if differing else ""
    raise clang.CompileError(
        "compiled with other placeholders, the program differs elsewhere than at its open "
        f"numbers{where}: hosts cannot fill it in"
    )
