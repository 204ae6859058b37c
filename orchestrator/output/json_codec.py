"""JSON to and from bytes, by orjson where it is installed, else by the standard library.

Debian 12 has no package of orjson. Both write the same values, though not always by the same
characters (1e16 and 1e+16), and refuse the same input.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

__all__ = ["decode_json", "encode_json"]

#: An escaped half of a pair of UTF-16, which may be without the other.
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def encode_json(value: Any, *, indented: bool = False) -> bytes:
    """`value` as JSON in UTF-8; `indented`: by two spaces, and with a newline at the end. Numbers
    that are not finite become null. Raises TypeError for what has no form in JSON, and for text
    that has none in UTF-8."""
    return _find_encoder()(value, indented)


def decode_json(content: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError where it is none, or is nested too
    deeply."""
    return _find_decoder()(content)


@cache  # looking for a module that is not there takes tens of microseconds
def _find_encoder() -> Callable[[Any, bool], bytes]:
    try:
        import orjson  # lazy: 5 ms that not every run needs
    except ImportError:
        return encode_by_standard
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return lambda value, indented: orjson.dumps(value, option=options if indented else 0)


@cache
def _find_decoder() -> Callable[[bytes], Any]:
    try:
        from orjson import loads  # as above
    except ImportError:
        return decode_by_standard
    return loads


def encode_by_standard(value: Any, indented: bool) -> bytes:
    """As `encode_json`, by the standard library."""
    try:
        text = _dump(value, indented)
    except ValueError:  # rare: looking at every number first would cost each record
        text = _dump(_without_infinite(value), indented)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise TypeError(str(error)) from None


def _dump(value: Any, indented: bool) -> str:
    if indented:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _without_infinite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_infinite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinite(part) for part in value]
    return value


def decode_by_standard(content: bytes) -> Any:
    """As `decode_json`, by the standard library."""
    try:
        value = json.loads(
            content.decode(), parse_float=_read_float, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _ESCAPED_SURROGATE.search(content):
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value


def _read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is out of range")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
