"""Values of a bundle's JSON, taken with their types checked: whatever is there, each is what it is
said to be, or its place is named in the refusal."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from orchestrator.values import dataclass

__all__ = ["JsonValue", "JsonValueError"]

_Value = TypeVar("_Value")
_Word = TypeVar("_Word", bound=str)
_HIGHEST = 1 << 62
_MOST_SHOWN = 120  # characters of a value or a place in a message


class JsonValueError(ValueError):
    """A value is not what belongs at its place; the text names both."""


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value of parsed JSON, and `where` it was found. All methods raise JsonValueError."""

    value: object
    where: str = ""

    def take_record(self, *names: str) -> Mapping[str, "JsonValue"]:
        """The fields of an object that has exactly those `names`."""
        fields = self.take_mapping()
        if fields.keys() != set(names):
            lacking = sorted(set(names) - fields.keys())
            unknown = sorted(fields.keys() - set(names))
            what = f"lacks {lacking[0]!r}" if lacking else f"has an unknown {_describe(unknown[0])}"
            raise JsonValueError(f"{self._place()} {what}")
        return fields

    def take_mapping(self) -> Mapping[str, "JsonValue"]:
        """The fields of an object with any names."""
        if not isinstance(self.value, dict):
            raise self.misfit("an object")
        return {name: self._inner(name, value) for name, value in self.value.items()}

    def take_list(self) -> Iterator["JsonValue"]:
        """The items of a list."""
        if not isinstance(self.value, list):
            raise self.misfit("a list")
        return (self._inner(str(index), value) for index, value in enumerate(self.value))

    def take_text(self) -> str:
        """A text."""
        if not isinstance(self.value, str):
            raise self.misfit("a text")
        return self.value

    def take_texts(self) -> dict[str, str]:
        """An object of texts."""
        return {name: field.take_text() for name, field in self.take_mapping().items()}

    def take_word(self, *words: _Word) -> _Word:
        """One of the `words`."""
        for word in words:
            if self.value == word:
                return word
        raise self.misfit(f"one of {', '.join(words)}")

    def take_number(self, highest: int = _HIGHEST) -> int:
        """A whole number from 0 to `highest`."""
        if type(self.value) is not int or not 0 <= self.value <= highest:
            raise self.misfit(f"a whole number from 0 to {highest:,}")
        return self.value

    def take_flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.misfit("true or false")
        return self.value

    def take_optional(self, take: Callable[["JsonValue"], _Value]) -> _Value | None:
        """What `take` takes, or None for null."""
        return None if self.value is None else take(self)

    def misfit(self, wanted: str) -> JsonValueError:
        """That this value is not what is `wanted`."""
        return JsonValueError(f"{self._place()} is {_describe(self.value)}, not {wanted}")

    def _place(self) -> str:
        return _shorten(self.where) or "the head"

    def _inner(self, name: str, value: object) -> "JsonValue":
        return JsonValue(value, f"{self.where}.{name}" if self.where else name)


def _describe(value: object) -> str:
    """A value in a few words: what was read may be as large as the file."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return _shorten(repr(value[:_MOST_SHOWN] if isinstance(value, str) else value))


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
