"""Prepared plans as JSON and back: objects of our classes with fields, and plain values.

Nothing that is kept is executed when it is read: only classes of this package whose fields are
declared can be made, and only from their fields.
"""

import dataclasses
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["NotKept", "decode_value", "encode_value"]

_PACKAGE = "orchestrator."
_LETTERS: dict[type, str] = {tuple: "t", list: "l", frozenset: "f", set: "s"}


class NotKept(Exception):
    """A value that has no form here."""


def encode_value(value: Any) -> dict[str, Any]:
    """`value` as something that JSON can hold. An object that occurs several times is kept once.
    Raises NotKept."""
    encoder = _Encoder()
    root = encoder.encode(value)
    return {"classes": list(encoder.classes), "objects": encoder.objects, "root": root}


def decode_value(
    kept: Mapping[str, Any], change: Callable[[Any], Any] = lambda value: value
) -> Any:
    """The value. `change` is given each object, with its parts as they are then, and returns what
    takes its place. Raises ValueError, KeyError, TypeError or IndexError for anything that
    `encode_value` did not make."""
    classes = [_find_class(name) for name in kept["classes"]]
    decoder = _Decoder(classes, change)
    for number, *values in kept["objects"]:
        decoder.add(number, values)
    return decoder.decode(kept["root"])


def _find_class(name: str) -> type:
    module, _, own = name.partition(":")
    if not module.startswith(_PACKAGE):
        raise ValueError(f"{name} is not one of our classes")
    found = getattr(import_module(module), own, None)
    if not isinstance(found, type) or not _has_own_form(found):
        raise ValueError(f"{name} is not a class with fields")
    return found


def _has_own_form(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or hasattr(kind, "made_from")


def _parts_of(value: Any) -> tuple[str, ...]:
    """The names of what makes an object of this class: its fields, or what it names itself."""
    named: tuple[str, ...] | None = getattr(value, "made_from", None)
    if named is not None:
        return named
    return tuple(field.name for field in dataclasses.fields(value) if field.init)


class _Encoder:
    """Plain values are themselves; others are lists that begin with a letter."""

    def __init__(self) -> None:
        self.classes: dict[str, int] = {}
        self.objects: list[list[Any]] = []
        self._known: dict[int, int] = {}
        self._alive: list[Any] = []  # so that ids stay theirs

    def encode(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind is bytes:
            return ["b", b64encode(value).decode()]
        if kind in (tuple, list, frozenset, set):
            return [_LETTERS[kind], *map(self.encode, value)]
        if kind is dict:
            return ["d", *([self.encode(key), self.encode(part)] for key, part in value.items())]
        if kind.__module__.startswith(_PACKAGE) and _has_own_form(kind):
            return ["o", self._add(value)]
        raise NotKept(f"{kind.__module__}.{kind.__qualname__}")

    def _add(self, value: Any) -> int:
        """The number of an object; its parts have lower ones."""
        known = self._known.get(id(value))
        if known is not None:
            return known
        kind = type(value)
        parts = [self.encode(getattr(value, name)) for name in _parts_of(value)]
        name = f"{kind.__module__}:{kind.__qualname__}"
        self.objects.append([self.classes.setdefault(name, len(self.classes)), *parts])
        self._alive.append(value)
        self._known[id(value)] = len(self.objects) - 1
        return len(self.objects) - 1


class _Decoder:
    def __init__(self, classes: list[type], change: Callable[[Any], Any]) -> None:
        self._classes = [(kind, _parts_of(kind)) for kind in classes]
        self._change = change
        self._objects: list[Any] = []

    def add(self, number: int, values: list[Any]) -> None:
        kind, names = self._classes[number]
        parts = zip(names, map(self.decode, values), strict=True)
        self._objects.append(self._change(kind(**dict(parts))))

    def decode(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        letter, *parts = value
        match letter:
            case "o":
                return self._objects[parts[0]]
            case "t":
                return tuple(map(self.decode, parts))
            case "l":
                return list(map(self.decode, parts))
            case "d":
                return {self.decode(key): self.decode(part) for key, part in parts}
            case "b":
                return b64decode(parts[0], validate=True)
            case "f":
                return frozenset(map(self.decode, parts))
            case "s":
                return set(map(self.decode, parts))
        raise ValueError(f"{letter!r} is no form")
