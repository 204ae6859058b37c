"""What the bytes of a field mean: the value that a line, a metric's key or a summary shows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from orchestrator.compile.program import Emit, FieldForm, Presentation
from orchestrator.output.forms import COUNTED, STANDS_FOR, TEXTS, used

__all__ = ["Shown", "StackNames", "Value", "is_number", "longest_token", "no_stacks"]
__all__ += ["token_of", "truncated_token", "value_of"]

_STACKS = frozenset({"kstack", "ustack"})
_LONG_STACK = 4096  # seldom more: fifty frames and more of usual names
_LONGEST = {"ipv4": 17, "ipv6": 48, "ip": 48, "kstack": _LONG_STACK, "ustack": _LONG_STACK}
_STOOD_FOR = 600  # the longest symbol is of 512 bytes (include/linux/kallsyms.h, KSYM_NAME_LEN)
_DIGEST = 2 + len("sha256:") + 16
_ESCAPED_BYTE = 6  # bytes of JSON that one byte of a string can become: a doubled backslash and xNN


Value = str | int | bool | list[str] | None
#: The frames of a stack by its number, from the innermost outwards; None: it was lost.
StackNames = Callable[[int], Sequence[str] | None]


class Shown(Protocol):
    """What a RecordField and a KeyField have in common."""

    @property
    def form(self) -> FieldForm: ...
    @property
    def size(self) -> int: ...
    @property
    def presentation(self) -> Presentation | None: ...


def no_stacks(_number: int) -> None:
    """Where no stacks are known."""


def value_of(field: Shown, raw: bytes, stacks: StackNames = no_stacks) -> Value:
    """The value of a field's `raw` bytes: text, number (or its name) or truth; the frames of a
    stack, null for one that was lost."""
    if _hashed(field):
        return _digest(field, raw)
    if field.form in _STACKS:
        names = stacks(int.from_bytes(raw, "little"))
        return None if names is None else list(names)
    if field.form in TEXTS:
        return TEXTS[field.form](raw)
    if field.form == "bool":
        return any(raw)
    number = int.from_bytes(raw, "little", signed=field.form[0] == "s")
    shown = field.presentation
    if shown is not None and shown.form:
        return STANDS_FOR[shown.form](number, shown)
    return _names(field).get(number, number)


def is_number(field: Shown) -> bool:
    """Whether the field is shown as digits, and not as what they stand for."""
    shown = field.presentation
    stands_for = shown is not None and bool(shown.names or shown.form or shown.hashed)
    return field.form not in (*TEXTS, *_STACKS, "bool") and not stands_for


def token_of(field: Shown, stacks: StackNames = no_stacks) -> Callable[[bytes], bytes]:
    """The function from this field's raw bytes to its JSON."""
    from orjson import dumps  # lazy: 5 ms that tables of metrics need not pay

    return lambda raw: dumps(value_of(field, raw, stacks))


def longest_token(field: Shown) -> int:
    """The most bytes that a number, name, address or string of this field takes in JSON."""
    if _hashed(field):
        return _DIGEST
    if field.form in _LONGEST:
        return _LONGEST[field.form]
    if field.form in TEXTS:
        return 2 + _ESCAPED_BYTE * field.size
    names = (2 + _ESCAPED_BYTE * len(name) for name in _names(field).values())
    stands_for = field.presentation is not None and field.presentation.form
    return max(_STOOD_FOR if stands_for else 20, *names, 5)


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
    """What stands for a value: of one run, equal values have equal digests; with a salt that is
    drawn for each run and written nowhere, they cannot be looked up in tables."""
    from hashlib import sha256  # few plans redact anything

    assert field.presentation is not None
    if not field.presentation.salt:
        raise ValueError("a value is to be hashed, and the run has drawn no salt")
    text = raw.partition(b"\0")[0] if field.form == "string" else raw
    if field.form in COUNTED:
        text = used(raw)
    return "sha256:" + sha256(field.presentation.salt + text).hexdigest()[:16]


def _names(field: Shown) -> Mapping[int, str]:
    return field.presentation.names if field.presentation else {}
