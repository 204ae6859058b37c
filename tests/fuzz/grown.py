"""Expressions that grow from bytes: each byte chooses what comes next, so that nearly every case is
well formed and gets as far as the compiler, which random text seldom does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["Place", "grown"]

_NUMBERS = ("0", "1", "-1", "7", "0x1f", "4096", "2147483648", "-9223372036854775808")
_NAMES = ("pid", "tid", "uid", "gid", "cpu", "params.limit")
_ARITHMETIC = ("+", "-", "*", "//", "%", "&", "|", "^")
_SHIFTS = ("<<", ">>")
_COMPARED = ("==", "!=", "<", "<=", ">", ">=")
_TEXTS = ("comm", "'a'", "'a??/'", "'*/ x'", "'b\\\\'", "'%s'", "' if '", "'0123456789abcde'")
_DEPTH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an expression may name where it is. `paired`: entry and return are one event."""

    numbers: Sequence[str] = ()
    texts: Sequence[str] = ()
    pointers: Sequence[str] = ()
    paired: bool = False


@dataclass(slots=True, kw_only=True)
class _Grower:
    """Grows from `data`; where it ends, the first choice is taken each time."""

    data: bytes
    place: Place
    at: int = field(default=0)

    def byte(self) -> int:
        value = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1
        return value

    def one(self, choices: Sequence[str]) -> str:
        return choices[self.byte() % len(choices)]

    def grow(self, kinds: Sequence[Callable[[int], str]], depth: int) -> str:
        """The first kind is the leaf, and is all there is at the bottom."""
        kind = kinds[self.byte() % len(kinds)] if depth else kinds[0]
        return kind(depth - 1)

    # ------------------------------------------------------------ numbers

    def number(self, depth: int) -> str:
        kinds = [self.leaf, self.leaf, self.computed, self.shifted, self.chosen, self.called]
        kinds += [self.loaded] * bool(self.place.pointers)
        return self.grow(kinds, depth)

    def leaf(self, _depth: int) -> str:
        names = (*self.place.numbers, *_NAMES, *_NUMBERS)
        names += ("retval", "elapsed // (1*us)") if self.place.paired else ()
        return self.one(names)

    def computed(self, depth: int) -> str:
        return f"({self.number(depth)} {self.one(_ARITHMETIC)} {self.number(depth)})"

    def shifted(self, depth: int) -> str:
        return f"({self.number(depth)} {self.one(_SHIFTS)} {self.byte() % 70})"

    def chosen(self, depth: int) -> str:
        return f"({self.number(depth)} if {self.truth(depth)} else {self.number(depth)})"

    def called(self, depth: int) -> str:
        match self.byte() % 5:
            case 0:
                return f"min({self.number(depth)}, {self.number(depth)})"
            case 1:
                return f"max({self.number(depth)}, {self.number(depth)})"
            case 2:
                return f"~({self.number(depth)})"
            case 3:
                return f"cast({self.number(depth)}, '{self.one(('u8', 's16', 'u32', 's64'))}')"
            case _:
                return f"-({self.number(depth)})"

    def loaded(self, _depth: int) -> str:
        kind = self.one(("u8", "u32", "s64"))
        return f"load('{kind}', {self.one(self.place.pointers)})"

    # ------------------------------------------------------------ truths

    def truth(self, depth: int) -> str:
        kinds = [self.compared, self.compared, self.joined, self.denied, self.among, self.text_test]
        return self.grow(kinds, depth)

    def compared(self, depth: int) -> str:
        depth = max(depth, 0)
        return f"({self.number(depth)} {self.one(_COMPARED)} {self.number(depth)})"

    def joined(self, depth: int) -> str:
        return f"({self.truth(depth)} {self.one(('and', 'or'))} {self.truth(depth)})"

    def denied(self, depth: int) -> str:
        return f"(not {self.truth(depth)})"

    def among(self, depth: int) -> str:
        found = ", ".join(self.one(_NUMBERS) for _ in range(1 + self.byte() % 4))
        return f"({self.number(depth)} in ({found},))"

    def text_test(self, _depth: int) -> str:
        text, other = self.one((*self.place.texts, "comm")), self.one(_TEXTS[1:])
        test = self.one(("{} == {}", "{} != {}", "startswith({}, {})", "glob({}, {})"))
        return test.format(text, other)


def grown(data: bytes, place: Place) -> str:
    """An expression of what may be named at `place`, as `data` chooses."""
    grower = _Grower(data=data, place=place)
    return (grower.truth if grower.byte() % 2 else grower.number)(_DEPTH)
