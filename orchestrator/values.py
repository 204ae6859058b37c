"""`dataclass` as of the standard library, whose methods cost nothing until they are used.

The standard library compiles six methods for each class when its module is imported. A run imports
more than two hundred such classes and makes few objects of most: that took 65 of the 155 ms of CPU
time that its imports need. Here the fields are found by the standard library, and the methods are
closures; a class of which many objects are made gets a compiled `__init__` then.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

__all__ = ["dataclass"]

_OFTEN = 40  # compiling `__init__` takes as long as making about so many objects without
_POST_INIT = "__post_init__"


class _Given(NamedTuple):
    """A field that `__init__` sets: how, and its default or the function that makes it."""

    name: str
    put: Callable[[Any, Any], None]
    default: Any
    make: Any


def _dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False
) -> Callable[[type], Any]:
    """A slotted class with the fields that it declares, and the methods that `dataclass` of the
    standard library gives it. `slots` has to be true. A class that has one of these methods keeps
    its own."""
    if not slots:
        raise TypeError("a class with fields has slots here: slots=True")

    def decorate(declared: type) -> Any:
        own = set(vars(declared))
        made: Any = dataclasses.dataclass(
            init=False, repr=False, eq=False, slots=True, kw_only=kw_only
        )(declared)
        fields = dataclasses.fields(made)
        methods: dict[str, Any] = {"__init__": _make_init(made, fields)}
        methods["__repr__"] = _make_repr([field.name for field in fields if field.repr])
        compared = tuple(field.name for field in fields if field.compare)
        methods["__eq__"] = _make_eq(compared)
        methods["__hash__"] = _make_hash(compared) if frozen else None
        if frozen:
            methods |= _make_frozen(made, tuple(field.name for field in fields))
        for name, method in methods.items():
            if name in own:
                continue
            if method is not None:
                method.__name__, method.__qualname__ = name, f"{made.__qualname__}.{name}"
            setattr(made, name, method)
        return made

    return decorate


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass


# ---------------------------------------------------------------- __init__


def _make_init(made: type, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    """Sets the fields from keywords. Everything else (positions, a missing or unknown name) is left
    to the compiled form, which replaces this one once it is needed or used often."""
    missing = dataclasses.MISSING
    given = [
        _Given(f.name, getattr(made, f.name).__set__, f.default, f.default_factory)
        for f in fields
        if f.init
    ]
    always = [  # not parameters, but with a default
        _Given(f.name, getattr(made, f.name).__set__, f.default, f.default_factory)
        for f in fields
        if not f.init and not (f.default is missing and f.default_factory is missing)
    ]
    needed = frozenset(g.name for g in given if g.default is missing and g.make is missing)
    names = frozenset(g.name for g in given)
    has_post_init = hasattr(made, _POST_INIT)
    times = 0

    def init(self: Any, *positions: Any, **values: Any) -> None:
        nonlocal times
        times += 1
        if positions or times > _OFTEN or not needed <= values.keys() <= names:
            compiled = _compile_init(made, fields)
            if vars(made)["__init__"] is init:
                made.__init__ = compiled  # type: ignore[misc]  # a method of all classes
            compiled(self, *positions, **values)
            return
        for name, put, default, make in given:
            if name in values:
                put(self, values[name])
            else:
                put(self, default if make is missing else make())
        for _, put, default, make in always:
            put(self, default if make is missing else make())
        if has_post_init:
            self.__post_init__()

    return init


def _compile_init(made: type, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    missing = dataclasses.MISSING
    scope: dict[str, Any] = {"_put": object.__setattr__, "_missing": missing}
    by_position: list[str] = []
    by_keyword: list[str] = []
    body: list[str] = []
    for field in fields:
        name, value = field.name, field.name
        if field.default is not missing:
            scope[f"_default_{name}"], default = field.default, f"_default_{name}"
        elif field.default_factory is not missing:
            scope[f"_make_{name}"], default = field.default_factory, "_missing"
            value = f"_make_{name}() if {name} is _missing else {name}"
        else:
            default = ""
        if field.init:
            parameters = by_keyword if field.kw_only else by_position
            parameters.append(f"{name}={default}" if default else name)
        elif not default:
            continue
        else:
            value = f"_make_{name}()" if default == "_missing" else default
        body.append(f"  _put(self, {name!r}, {value})")
    if hasattr(made, _POST_INIT):
        body.append(f"  self.{_POST_INIT}()")
    parameters = ["self", *by_position, *(["*", *by_keyword] if by_keyword else [])]
    text = f"def __init__({', '.join(parameters)}):\n" + "\n".join(body or ["  pass"])
    exec(text, scope)  # noqa: S102  # names of fields and nothing else, as the standard library does
    compiled: Callable[..., None] = scope["__init__"]
    compiled.__qualname__ = f"{made.__qualname__}.__init__"
    return compiled


# ---------------------------------------------------------------- the other methods


def _get_values(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _object: ()
    get = attrgetter(*names)
    return (lambda one: (get(one),)) if len(names) == 1 else get


def _make_eq(names: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    values = _get_values(names)

    def equals(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return equals


def _make_hash(names: tuple[str, ...]) -> Callable[[Any], int]:
    values = _get_values(names)

    def hash_values(self: Any) -> int:
        return hash(values(self))

    return hash_values


def _make_repr(names: list[str]) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def describe(self: Any) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({values})"

    return describe


def _make_frozen(made: Any, names: tuple[str, ...]) -> dict[str, Any]:
    fields = frozenset(names)

    def refuse_change(self: Any, name: str, value: Any) -> None:
        if type(self) is made or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made, self).__setattr__(name, value)

    def refuse_deletion(self: Any, name: str) -> None:
        if type(self) is made or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(made, self).__delattr__(name)

    def get_state(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def set_state(self: Any, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {
        "__setattr__": refuse_change,
        "__delattr__": refuse_deletion,
        "__getstate__": get_state,
        "__setstate__": set_state,
    }
