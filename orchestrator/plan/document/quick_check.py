"""A quick yes or no from the schema, so that a run need not import jsonschema (50 ms, measured).

It reads the very schema that jsonschema reads and says only whether a plan fits. Whatever it does
not accept goes to jsonschema, which finds the words; a keyword that it does not know stops it
loudly. Tests hold both to the same verdict over mutated plans.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
}
#: Keywords that say nothing about validity, or are read together with another one.
_SILENT = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "examples", "default", "properties"}
)


def accepts(data: Any, schema: Schema, root: Schema) -> bool:
    """True when `data` fits `schema`, whose references point into `root`.

    Raises KeyError for a keyword that this reader does not know.
    """
    return all(
        _KEYWORDS[keyword](data, wanted, schema, root)
        for keyword, wanted in schema.items()
        if keyword not in _SILENT
    )


def matches(pattern: str, text: str) -> bool:
    """ECMA's `^…$`: in Python `$` would also match before a last newline."""
    return re.fullmatch(pattern, text) is not None


def _reference(data: Any, wanted: str, _schema: Schema, root: Schema) -> bool:
    target: Any = root["$defs"][wanted.removeprefix("#/$defs/")]
    return accepts(data, target, root)


def _type(data: Any, wanted: str | list[str], _schema: Schema, _root: Schema) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(_TYPES[name](data) for name in names)


def _additional(data: Any, wanted: Any, schema: Schema, root: Schema) -> bool:
    known = schema.get("properties", {})
    if not isinstance(data, dict):
        return True
    for key, value in data.items():
        rule = known.get(key, wanted)
        if rule is False or not accepts(value, rule, root):
            return False
    return True


def _items(data: Any, wanted: Schema, _schema: Schema, root: Schema) -> bool:
    return not isinstance(data, list) or all(accepts(item, wanted, root) for item in data)


def _names(data: Any, wanted: Schema, _schema: Schema, root: Schema) -> bool:
    return not isinstance(data, dict) or all(accepts(key, wanted, root) for key in data)


def _required(data: Any, wanted: list[str], _schema: Schema, _root: Schema) -> bool:
    return not isinstance(data, dict) or all(key in data for key in wanted)


def _enum(data: Any, wanted: list[Any], _schema: Schema, _root: Schema) -> bool:
    return any(data == value and type(data) is type(value) for value in wanted)


def _unique(data: Any, wanted: bool, _schema: Schema, _root: Schema) -> bool:
    return not wanted or not isinstance(data, list) or len(set(map(repr, data))) == len(data)


def _pattern(data: Any, wanted: str, _schema: Schema, _root: Schema) -> bool:
    return not isinstance(data, str) or matches(wanted, data)


def _bound(kind: type, measure: Callable[[Any], int], sign: int) -> Callable[..., bool]:
    def check(data: Any, wanted: int, _schema: Schema, _root: Schema) -> bool:
        applies = isinstance(data, kind) and not isinstance(data, bool)
        return not applies or sign * measure(data) >= sign * wanted

    return check


_KEYWORDS: Mapping[str, Callable[[Any, Any, Schema, Schema], bool]] = {
    "$ref": _reference,
    "type": _type,
    "additionalProperties": _additional,
    "items": _items,
    "propertyNames": _names,
    "required": _required,
    "enum": _enum,
    "uniqueItems": _unique,
    "pattern": _pattern,
    "minimum": _bound(int, int, 1),
    "maximum": _bound(int, int, -1),
    "minLength": _bound(str, len, 1),
    "maxLength": _bound(str, len, -1),
    "minItems": _bound(list, len, 1),
    "maxItems": _bound(list, len, -1),
    "minProperties": _bound(dict, len, 1),
    "maxProperties": _bound(dict, len, -1),
}
