"""Programs that leave this machine are compiled twice, with other placeholders each time.

The two results may differ at the places of open numbers and nowhere else. A difference elsewhere
would be a place that was overlooked, or one that is none: hosts would load a wrong number. A text
without open numbers has no placeholder, and is compiled once.
"""

import hashlib
from collections.abc import Mapping, Sequence

from orchestrator.backends.bcc.compiler import cache, clang
from orchestrator.backends.bcc.compiler.key import make_key
from orchestrator.backends.bcc.compiler.places import (
    OpenPlace,
    OpenProgram,
    Placeholders,
    StrayPlaceholderError,
    choose_placeholders,
    fill_program,
    find_places,
)
from orchestrator.backends.bcc.emit.open_numbers import MOST_SLOTS
from orchestrator.backends.protocol import OpenNumber
from orchestrator.values import dataclass

__all__ = ["OpenText", "compile_checked"]

_ZEROS = (OpenNumber(name="", value=0),) * MOST_SLOTS
_FIRST, _OTHERS = (0, 1), (2, 3)  # pairs of placeholders; the others where a text has one of them


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenText:
    """What is to be compiled: the `functions` in `text`, for kernels of `arch`. `is_open`: it
    leaves numbers open."""

    text: str
    functions: Sequence[str]
    arch: str
    is_open: bool = True

    @property
    def kept_name(self) -> str:
        """The name of its program in the cache, where programs that were compiled once have
        others."""
        key = make_key(self.text, self.functions, arch=self.arch)
        return hashlib.sha256(f"compiled twice\0{key}".encode()).hexdigest()


def compile_checked(texts: Sequence[OpenText]) -> list[OpenProgram]:
    """The program of each text, compiled twice and compared; at its places it has zeros, whichever
    placeholders they had. One child compiles them all, so there should be few.

    Raises CompilerMissingError without bcc, else CompileError, also where the two differ.
    """
    programs = {
        text.kept_name: cache.read_compiled(text.kept_name, text.functions) for text in texts
    }
    missing = [text for text in texts if programs[text.kept_name] is None]
    for text, made in zip(missing, _compile_twice(missing), strict=True):
        cache.write_compiled(text.kept_name, made)
        programs[text.kept_name] = made
    return [found for text in texts if (found := programs[text.kept_name]) is not None]


def _compile_twice(texts: Sequence[OpenText]) -> list[OpenProgram]:
    if not texts:
        return []
    chosen = [_choose_placeholders(text, _FIRST) for text in texts]
    codes = iter(
        clang.compile_texts(
            [
                (placeholders.define() + text.text, text.functions)
                for text, several in zip(texts, chosen, strict=True)
                for placeholders in several
            ]
        )
    )
    return [
        _join_results(text, several, [next(codes) for _ in several])
        for text, several in zip(texts, chosen, strict=True)
    ]


def _choose_placeholders(text: OpenText, attempts: Sequence[int]) -> list[Placeholders]:
    attempts = attempts if text.is_open else attempts[:1]
    return [choose_placeholders(text.text, attempt) for attempt in attempts]


def _join_results(
    text: OpenText, chosen: Sequence[Placeholders], codes: Sequence[Mapping[str, bytes]]
) -> OpenProgram:
    if not text.is_open:
        return OpenProgram(code=codes[0])
    try:
        return _compare_programs(*map(_with_zeros, codes, chosen))
    except StrayPlaceholderError:
        pass
    chosen = _choose_placeholders(text, _OTHERS)
    codes = clang.compile_texts([(one.define() + text.text, text.functions) for one in chosen])
    try:
        return _compare_programs(*map(_with_zeros, codes, chosen))
    except StrayPlaceholderError as error:
        why = f"a placeholder is among the program's own numbers: {error}"
        raise clang.CompileError(why) from None


def _with_zeros(code: Mapping[str, bytes], placeholders: Placeholders) -> OpenProgram:
    places: tuple[OpenPlace, ...] = find_places(code, placeholders)
    return OpenProgram(
        code=fill_program(OpenProgram(code=code, places=places), _ZEROS), places=places
    )


def _compare_programs(first: OpenProgram, second: OpenProgram) -> OpenProgram:
    if first == second:
        return first
    differing = [name for name in first.code if first.code[name] != second.code[name]]
    where = f" in {', '.join(differing)}" if differing else ""
    raise clang.CompileError(
        "compiled with other placeholders, the program differs elsewhere than at its open "
        f"numbers{where}: hosts cannot fill it in"
    )
