"""What the bytes of a field mean: the value that a line, a metric's key or a summary shows."""

import socket
from collections.abc import Callable, Mapping
from typing import Protocol

from orchestrator.compile.program import Emit, FieldForm, Presentation
from orchestrator.output.text import from_kernel

__all__ = ["Shown", "is_number", "longest_token", "token_of", "truncated_token", "value_of"]

_LONGEST = {"ipv4": 17, "ipv6": 48}
_DIGEST = 2 + len("sha256:") + 16
_ESCAPED_BYTE = 6  # bytes of JSON that one byte of a string can become: a doubled backslash and xNN


class Shown(Protocol):
    """What a RecordField and a KeyField have in common."""

    @property
    def form(self) -> FieldForm: ...
    @property
    def size(self) -> int: ...
    @property
    def presentation(self) -> Presentation | None: ...


def value_of(field: Shown, raw: bytes) -> str | int | bool:
    """The value of a field's `raw` bytes: text, number (or its name) or truth."""
    match field.form:
        case "string":
            return _digest(field, raw) if _hashed(field) else from_kernel(raw)
        case "ipv4" | "ipv6":
            family = socket.AF_INET if field.form == "ipv4" else socket.AF_INET6
            return socket.inet_ntop(family, raw)  # network order, as the kernel keeps it
        case "bool":
            return any(raw)
    number = int.from_bytes(raw, "little", signed=field.form[0] == "s")
    return _names(field).get(number, number)


def is_number(field: Shown) -> bool:
    """Whether the field is shown as digits, and not through a table of names."""
    return field.form not in ("string", "ipv4", "ipv6", "bool") and not _names(field)


def token_of(field: Shown) -> Callable[[bytes], bytes]:
    """The function from this field's raw bytes to its JSON."""
    from orjson import dumps  # lazy: 5 ms that tables of metrics need not pay

    return lambda raw: dumps(value_of(field, raw))


def longest_token(field: Shown) -> int:
    """The most bytes that a number, name, address or string of this field takes in JSON."""
    if field.form == "string":
        return _DIGEST if _hashed(field) else 2 + _ESCAPED_BYTE * field.size
    names = _names(field).values()
    return max(_LONGEST.get(field.form, 20), *(2 + 6 * len(n) for n in names), 5)


def truncated_token(emit: Emit) -> Callable[[bytes], bytes]:
    """From the header's `truncated` word to the end of a line that names those fields."""
    from orjson import dumps  # lazy: see token_of

    def render(raw: bytes) -> bytes:
        mask = int.from_bytes(raw, "little")
        names = [field.name for field in emit.fields if mask >> field.bit & 1]
        return b',"truncated":' + dumps(names) if names else b" "

    return render


def _hashed(field: Shown) -> bool:
    return field.presentation is not None and field.presentation.hashed


def _digest(field: Shown, raw: bytes) -> str:
    """What stands for a string: of one run, equal strings have equal digests; with a salt that is
    drawn for each run and written nowhere, they cannot be looked up in tables."""
    from hashlib import sha256  # few plans redact anything

    assert field.presentation is not None
    if not field.presentation.salt:
        raise ValueError("a string is to be hashed, and the run has drawn no salt")
    text = raw.partition(b"\0")[0]
    return "sha256:" + sha256(field.presentation.salt + text).hexdigest()[:16]


def _names(field: Shown) -> Mapping[int, str]:
    return field.presentation.names if field.presentation else {}
