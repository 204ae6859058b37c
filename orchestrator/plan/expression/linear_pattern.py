"""Regular expressions whose time grows with the length of the text alone, as RE2's does.

The names of cgroups are chosen by what runs in containers. `re` tries alternatives one after
another: `(a+)+b` takes years for some names. Here all alternatives are followed at once (Thompson,
Pike): at most steps times characters. What cannot be followed so, as back references, is refused.
Matches are those of `re`, but where a repeat is repeated that can be empty, as in `(?:a*?)+`.
"""

import re
from collections.abc import Callable, Mapping
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]  # the standard library's own parser
from typing import Any

__all__ = ["LinearPattern", "PatternError"]

_MOST_STEPS = 2000
_MOST_TEXT = 256
_AT_START = (op.AT_BEGINNING, op.AT_BEGINNING_STRING)
_AT_END = (op.AT_END, op.AT_END_STRING)


class PatternError(ValueError):
    """What is wrong with a pattern, for people."""


class LinearPattern:
    """A pattern with one group or none, searched for anywhere in a text."""

    def __init__(self, text: str) -> None:
        """Raises PatternError."""
        if len(text) > _MOST_TEXT:
            raise PatternError(f"it has more than {_MOST_TEXT} characters")
        try:
            parsed = _parser.parse(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise PatternError(f"it is no regular expression: {error}") from None
        if parsed.state.flags & ~re.UNICODE.value:
            raise PatternError("flags are not offered")
        if parsed.state.groups > 2:
            raise PatternError("it has more than one group: write (?:…) for the others")
        self._steps: list[tuple[Any, ...]] = []
        self._add_all(parsed)
        self._add("match")

    # ---------------------------------------------------------------- compiling

    def _add(self, *step: Any) -> int:
        if len(self._steps) >= _MOST_STEPS:
            raise PatternError(f"it takes more than {_MOST_STEPS} steps: use smaller repeats")
        self._steps.append(step)
        return len(self._steps) - 1

    def _add_all(self, parts: Any) -> None:
        for kind, value in parts:
            self._add_part(kind, value)

    def _add_part(self, kind: Any, value: Any) -> None:
        if kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            self._add("char", kind, value)
        elif kind is op.AT and value in (*_AT_START, *_AT_END):
            self._add("start" if value in _AT_START else "end")
        elif kind is op.SUBPATTERN:
            group, added, removed, inner = value
            if added or removed:
                raise PatternError("flags are not offered")
            self._add_group(group, inner)
        elif kind is op.BRANCH:
            self._add_branches(value[1])
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            self._add_repeat(*value, greedy=kind is op.MAX_REPEAT)
        else:
            raise PatternError(f"{str(kind).lower().replace('_', ' ')} is not offered")

    def _add_group(self, group: int | None, inner: Any) -> None:
        if group is not None:
            self._add("save", 0)
        self._add_all(inner)
        if group is not None:
            self._add("save", 1)

    def _add_branches(self, branches: Any) -> None:
        jumps = []
        for branch in branches[:-1]:
            split = self._add("split", 0, 0)
            self._add_all(branch)
            jumps.append(self._add("jump", 0))
            self._steps[split] = ("split", split + 1, len(self._steps))
        self._add_all(branches[-1])
        for jump in jumps:
            self._steps[jump] = ("jump", len(self._steps))

    def _add_repeat(self, low: int, high: Any, inner: Any, *, greedy: bool) -> None:
        for _ in range(low):
            self._add_all(inner)
        if high is op.MAXREPEAT:
            split = self._add("split", 0, 0)
            self._add_all(inner)
            self._add("jump", split)
            self._close(split, greedy=greedy)
            return
        splits = []
        for _ in range(high - low):
            splits.append(self._add("split", 0, 0))
            self._add_all(inner)
        for split in splits:
            self._close(split, greedy=greedy)

    def _close(self, split: int, *, greedy: bool) -> None:
        ways = (split + 1, len(self._steps))
        self._steps[split] = ("split", *(ways if greedy else ways[::-1]))

    # ---------------------------------------------------------------- searching

    def find_group(self, text: str) -> str | None:
        """The group of the first match, the whole match without a group; None without one."""
        found: tuple[int, int, int, int] | None = None
        threads: dict[int, tuple[int, int, int]] = {}
        for at in range(len(text) + 1):
            if found is None:
                self._follow(threads, 0, (at, -1, -1), at, len(text))
            later: dict[int, tuple[int, int, int]] = {}
            for step, kept in threads.items():
                if self._steps[step][0] == "match":
                    found = (*kept, at)
                    break
                if at < len(text) and _matches(text[at], *self._steps[step][1:]):
                    self._follow(later, step + 1, kept, at + 1, len(text))
            threads = later
            if not threads and found is not None:
                break
        if found is None:
            return None
        begin, first, last, end = found
        has_group = any(step[0] == "save" for step in self._steps)
        if not has_group:
            return text[begin:end]
        return text[first:last] if 0 <= first <= last else None

    def _follow(
        self,
        threads: dict[int, tuple[int, int, int]],
        step: int,
        kept: tuple[int, int, int],
        at: int,
        size: int,
    ) -> None:
        """Add what is reached from `step` without a character, in the order of preference."""
        waiting, seen = [(step, kept)], set(threads)
        visited: set[int] = set()
        while waiting:
            step, kept = waiting.pop()
            if step in visited or step in seen:
                continue
            visited.add(step)
            kind, *values = self._steps[step]
            if kind == "jump":
                waiting.append((values[0], kept))
            elif kind == "split":
                waiting += [(values[1], kept), (values[0], kept)]
            elif kind == "save":
                saved = (kept[0], at, kept[2]) if values[0] == 0 else (*kept[:2], at)
                waiting.append((step + 1, saved))
            elif kind in ("start", "end"):
                if at == (0 if kind == "start" else size):
                    waiting.append((step + 1, kept))
            else:
                threads[step] = kept


def _matches(character: str, kind: Any, value: Any) -> bool:
    if kind is op.ANY:
        return character != "\n"
    if kind is op.IN:
        negated = value[0][0] is op.NEGATE
        return bool(negated != any(_is_in(character, *one) for one in value[negated:]))
    return bool((ord(character) == value) == (kind is op.LITERAL))


_CATEGORIES: Mapping[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdecimal,
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_WORD: lambda one: one.isalnum() or one == "_",
    op.CATEGORY_NOT_DIGIT: lambda one: not one.isdecimal(),
    op.CATEGORY_NOT_SPACE: lambda one: not one.isspace(),
    op.CATEGORY_NOT_WORD: lambda one: not (one.isalnum() or one == "_"),
}


def _is_in(character: str, kind: Any, value: Any) -> bool:
    if kind is op.LITERAL:
        return bool(ord(character) == value)
    if kind is op.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    return _CATEGORIES[value](character)
