"""A quick yes or no from the schema, so that a run need not import jsonschema (50 ms, measured).

It evaluates the same schema as jsonschema, but only says whether a plan fits. What it does not
accept goes to jsonschema, which explains why; an unknown keyword raises KeyError. Tests check that
both agree on mutated plans.
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
    "null": lambda value: value is None,
}
#: Keywords that do not affect validity, or are read together with another one.
_SILENT = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "examples", "default", "properties"}
)


def accepts_data(data: Any, schema: Schema, root: Schema) -> bool:
    """True when `data` fits `schema`, whose references point into `root`.

    Raises KeyError for a keyword that this reader does not know.
    """
    return all(
        _KEYWORDS[keyword](data, wanted, schema, root)
        for keyword, wanted in schema.items()
        if keyword not in _SILENT
    )


def matches_whole(pattern: str, text: str) -> bool:
    """ECMA's `^…$`: in Python `$` would also match before a last newline."""
    return re.fullmatch(pattern, text) is not None


def _check_reference(data: Any, wanted: str, _schema: Schema, root: Schema) -> bool:
    target: Any = root["$defs"][wanted.removeprefix("#/$defs/")]
    return accepts_data(data, target, root)


def _check_type(data: Any, wanted: str | list[str], _schema: Schema, _root: Schema) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(_TYPES[name](data) for name in names)


def _check_properties(data: Any, wanted: Any, schema: Schema, root: Schema) -> bool:
    known = schema.get("properties", {})
    if not isinstance(data, dict):
        return True
    for key, value in data.items():
        rule = known.get(key, wanted)
        if rule is False or not accepts_data(value, rule, root):
            return False
    return True


def _check_items(data: Any, wanted: Schema, _schema: Schema, root: Schema) -> bool:
    return not isinstance(data, list) or all(accepts_data(item, wanted, root) for item in data)


def _check_key_names(data: Any, wanted: Schema, _schema: Schema, root: Schema) -> bool:
    return not isinstance(data, dict) or all(accepts_data(key, wanted, root) for key in data)


def _check_required(data: Any, wanted: list[str], _schema: Schema, _root: Schema) -> bool:
    return not isinstance(data, dict) or all(key in data for key in wanted)


def _check_enum(data: Any, wanted: list[Any], _schema: Schema, _root: Schema) -> bool:
    return any(data == value and type(data) is type(value) for value in wanted)


def _check_unique(data: Any, wanted: bool, _schema: Schema, _root: Schema) -> bool:
    return not wanted or not isinstance(data, list) or len(set(map(repr, data))) == len(data)


def _check_pattern(data: Any, wanted: str, _schema: Schema, _root: Schema) -> bool:
    return not isinstance(data, str) or matches_whole(wanted, data)


def _make_bound_check(kind: type, measure: Callable[[Any], int], sign: int) -> Callable[..., bool]:
    def check(data: Any, wanted: int, _schema: Schema, _root: Schema) -> bool:
        applies = isinstance(data, kind) and not isinstance(data, bool)
        return not applies or sign * measure(data) >= sign * wanted

    return check


_KEYWORDS: Mapping[str, Callable[[Any, Any, Schema, Schema], bool]] = {
    "$ref": _check_reference,
    "type": _check_type,
    "additionalProperties": _check_properties,
    "items": _check_items,
    "propertyNames": _check_key_names,
    "required": _check_required,
    "enum": _check_enum,
    "uniqueItems": _check_unique,
    "pattern": _check_pattern,
    "minimum": _make_bound_check(int, int, 1),
    "maximum": _make_bound_check(int, int, -1),
    "minLength": _make_bound_check(str, len, 1),
    "maxLength": _make_bound_check(str, len, -1),
    "minItems": _make_bound_check(list, len, 1),
    "maxItems": _make_bound_check(list, len, -1),
    "minProperties": _make_bound_check(dict, len, 1),
    "maxProperties": _make_bound_check(dict, len, -1),
}
