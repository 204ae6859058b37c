"""`dataclass` as of the standard library, whose methods cost nothing until they are used.

The standard library compiles six methods for each class when its module is imported. A run imports
more than two hundred such classes and makes few objects of most: that took 65 of the 155 ms of CPU
time that its imports need. Here the methods are closures, and a class of which many objects are
made gets a compiled `__init__` then. `fields`, `replace` and `asdict` of the standard library work
as ever.
"""

from __future__ import annotations

import dataclasses
import inspect
import reprlib
from collections.abc import Callable
from operator import attrgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

__all__ = ["dataclass"]

_OFTEN = 40  # compiling `__init__` takes as long as making about so many objects without
_POST_INIT = "__post_init__"
_FIELDS = "__dataclass_fields__"
_MISSING = dataclasses.MISSING
_FieldOfAny = dataclasses.Field[Any]
#: What the standard library keeps of a class that it makes, and looks at when it makes a subclass:
#: by whether it is frozen.
_PARAMS = {
    frozen: SimpleNamespace(
        init=True, repr=True, eq=True, order=False, unsafe_hash=False, frozen=frozen
    )
    for frozen in (False, True)
}


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
        inherited = _collect_inherited(declared)
        own = _make_fields(declared, kw_only=kw_only)
        return _make_class(declared, inherited, own, frozen=frozen)

    return decorate


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass


def _collect_inherited(declared: type) -> dict[str, _FieldOfAny]:
    fields: dict[str, _FieldOfAny] = {}
    for base in declared.__mro__[-1:0:-1]:
        fields |= base.__dict__.get(_FIELDS, {})
    return fields


def _make_fields(declared: type, *, kw_only: bool) -> dict[str, _FieldOfAny]:
    """The fields that a class declares itself, by name."""
    fields = {}
    for name, kind in inspect.get_annotations(declared).items():
        if _is_of_the_class(kind):
            continue
        default = declared.__dict__.get(name, _MISSING)
        field: Any = default
        if not isinstance(default, dataclasses.Field):
            if default is not _MISSING and default.__class__.__hash__ is None:
                raise ValueError(f"mutable default {default!r} for field {name}")
            field = dataclasses.field(default=default)
        field.name, field.type = name, kind
        # By this mark `fields`, `replace` and `asdict` know a field (Python 3.11 to 3.13).
        field._field_type = dataclasses._FIELD  # type: ignore[attr-defined]  # private there
        if field.kw_only is _MISSING:
            field.kw_only = kw_only
        fields[name] = field
    return fields


def _is_of_the_class(kind: Any) -> bool:
    """Whether an annotation, which may be text, says that the name is an attribute of the class."""
    if isinstance(kind, str):
        return "ClassVar" in kind
    return kind is ClassVar or getattr(kind, "__origin__", None) is ClassVar


def _make_class(
    declared: type, inherited: dict[str, _FieldOfAny], own: dict[str, _FieldOfAny], *, frozen: bool
) -> Any:
    """The class again, with slots, which a class can only get when it is made."""
    known = {**inherited, **own}
    fields = tuple(known.values())
    body = {
        name: value
        for name, value in declared.__dict__.items()
        if name not in own and name not in ("__dict__", "__weakref__")
    }
    body["__slots__"] = tuple(name for name in own if name not in inherited)
    body[_FIELDS], body["__dataclass_params__"] = known, _PARAMS[frozen]
    if "__match_args__" not in body:
        body["__match_args__"] = tuple(f.name for f in fields if f.init and not f.kw_only)
    made: list[type] = []
    for name, method in _make_methods(made, fields, frozen=frozen).items():
        if name in body:
            continue
        if method is not None:
            method.__name__, method.__qualname__ = name, f"{declared.__qualname__}.{name}"
        body[name] = method
    made.append(type(declared)(declared.__name__, declared.__bases__, body))
    made[0].__qualname__ = declared.__qualname__
    return made[0]


def _make_methods(
    made: list[type], fields: tuple[_FieldOfAny, ...], *, frozen: bool
) -> dict[str, Any]:
    """All methods, by name. `made` will hold the class when they are called."""
    compared = tuple(field.name for field in fields if field.compare)
    methods: dict[str, Any] = {
        "__init__": _make_init(made, fields),
        "__repr__": _make_repr([field.name for field in fields if field.repr]),
        "__eq__": _make_eq(compared),
        "__hash__": _make_hash(compared) if frozen else None,
    }
    return methods | (_make_frozen(made, tuple(f.name for f in fields)) if frozen else {})


# ---------------------------------------------------------------- __init__


def _make_init(made: list[type], fields: tuple[_FieldOfAny, ...]) -> Callable[..., None]:
    """Sets the fields from keywords. Everything else (positions, a missing or unknown name) is left
    to the compiled form, which replaces this one once it is needed or used often."""
    times = 0
    given: list[_Given] = []
    always: list[_Given] = []
    needed, names, has_post_init = frozenset[str](), frozenset[str](), False

    def prepare() -> None:
        nonlocal given, always, needed, names, has_post_init
        given = [_give(made[0], field) for field in fields if field.init]
        always = [_give(made[0], field) for field in fields if not field.init]
        always = [one for one in always if one.default is not _MISSING or one.make is not _MISSING]
        needed = frozenset(g.name for g in given if g.default is _MISSING and g.make is _MISSING)
        names = frozenset(one.name for one in given)
        has_post_init = hasattr(made[0], _POST_INIT)

    def init(self: Any, *positions: Any, **values: Any) -> None:
        nonlocal times
        if not times:
            prepare()
        times += 1
        if positions or times > _OFTEN or not needed <= values.keys() <= names:
            compiled = _compile_init(made[0], fields)
            if vars(made[0])["__init__"] is init:
                made[0].__init__ = compiled  # type: ignore[misc]  # a method of all classes
            compiled(self, *positions, **values)
            return
        for name, put, default, make in given:
            if name in values:
                put(self, values[name])
            else:
                put(self, default if make is _MISSING else make())
        for _, put, default, make in always:
            put(self, default if make is _MISSING else make())
        if has_post_init:
            self.__post_init__()

    return init


def _give(made: type, field: _FieldOfAny) -> _Given:
    put = getattr(made, field.name).__set__
    return _Given(field.name, put, field.default, field.default_factory)


def _compile_init(made: type, fields: tuple[_FieldOfAny, ...]) -> Callable[..., None]:
    scope: dict[str, Any] = {"_put": object.__setattr__, "_missing": _MISSING}
    by_position: list[str] = []
    by_keyword: list[str] = []
    body: list[str] = []
    for field in fields:
        name, value = field.name, field.name
        if field.default is not _MISSING:
            scope[f"_default_{name}"], default = field.default, f"_default_{name}"
        elif field.default_factory is not _MISSING:
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
    values: Callable[[Any], tuple[Any, ...]] | None = None

    def equals(self: Any, other: Any) -> Any:
        nonlocal values
        if other.__class__ is not self.__class__:
            return NotImplemented
        values = values or _get_values(names)
        return values(self) == values(other)

    return equals


def _make_hash(names: tuple[str, ...]) -> Callable[[Any], int]:
    values: Callable[[Any], tuple[Any, ...]] | None = None

    def hash_values(self: Any) -> int:
        nonlocal values
        values = values or _get_values(names)
        return hash(values(self))

    return hash_values


def _make_repr(names: list[str]) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def describe(self: Any) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({values})"

    return describe


def _make_frozen(made: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
    fields = frozenset(names)

    def refuse_change(self: Any, name: str, value: Any) -> None:
        if type(self) is made[0] or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made[0], self).__setattr__(name, value)

    def refuse_deletion(self: Any, name: str) -> None:
        if type(self) is made[0] or name in fields:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(made[0], self).__delattr__(name)

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
