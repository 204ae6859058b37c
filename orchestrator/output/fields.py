"""Decoding a field: from its raw bytes to the value in a line, a metric's key or a summary."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from orchestrator.compile.program import STACK_FORMS, Emit, FieldForm, FieldUnit, Presentation
from orchestrator.output.forms import (
    LENGTH_PREFIXED,
    LONGEST_CGROUP,
    NUMBER_TEXTS,
    TEXTS,
    describe_container,
    used_bytes,
)
from orchestrator.output.text import dump_json

__all__ = [
    "FieldValue",
    "RenderedField",
    "ShownField",
    "StackNames",
    "bound_token_size",
    "is_number",
    "no_stacks",
]
__all__ += ["decode_field", "make_token_renderer", "make_truncated_renderer", "shown_field"]

_LONG_STACK = 4096  # seldom more: fifty frames and more of usual names
_SYMBOL = 3000  # a symbol, escaped, and the name of its file
_LONGEST: Mapping[FieldForm, int] = {
    "ipv4": 17, "ipv6": 48, "ip": 48,
    "kstack": _LONG_STACK, "ustack": _LONG_STACK, "usym": _SYMBOL,
}  # fmt: skip
_STOOD_FOR = 600  # the longest symbol is of 512 bytes (include/linux/kallsyms.h, KSYM_NAME_LEN)
_LONGEST_NUMBER = 20
_DIGEST = 2 + len("sha256:") + 16
_ESCAPED_BYTE = 6  # bytes of JSON that one byte of a string can become: a doubled backslash and xNN


FieldValue = str | int | bool | list[str] | None
#: The frames of a stack by its number, from the innermost outwards; None: it was lost.
StackNames = Callable[[int], Sequence[str] | None]


class RenderedField(Protocol):
    """What a RecordField and a KeyField have in common."""

    @property
    def form(self) -> FieldForm: ...
    @property
    def size(self) -> int: ...
    @property
    def presentation(self) -> Presentation | None: ...
    @property
    def unit(self) -> FieldUnit: ...


class ShownField(NamedTuple):
    """What it takes to show a field's values to people, as run.started has it: `form` and `unit` as
    of a RecordField; `shown_as`: what a number is shown as (Presentation.form, or `names` of a
    table), or `digest` of a value; "": as itself."""

    form: str = "u64"
    unit: str = ""
    shown_as: str = ""

    @property
    def is_number(self) -> bool:
        """Whether it is shown as digits, and not as a name that they stand for."""
        return self.form not in _NO_NUMBERS and not self.shown_as

    @property
    def size(self) -> int:
        """Bytes of a number; 0 of anything else."""
        return int(self.form[1:]) // 8 if self.form in _INTEGERS else 0


_NO_NUMBERS = frozenset({*TEXTS, *STACK_FORMS, "bool"})
_INTEGERS = frozenset({"u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"})


def shown_field(field: RenderedField) -> ShownField:
    """How a field is shown."""
    shown = field.presentation
    if shown is None:
        return ShownField(field.form, field.unit)
    shown_as = "digest" if shown.hashed else shown.form or ("names" if shown.has_names else "")
    return ShownField(field.form, field.unit, shown_as)


def no_stacks(_number: int) -> None:
    """The frames of any stack where none are known."""


def decode_field(field: RenderedField, raw: bytes, stacks: StackNames = no_stacks) -> FieldValue:
    """The value of a field's `raw` bytes: a text, a number (or its name), a truth value, or the
    frames of a stack (None for one that was lost)."""
    if _is_hashed(field):
        return _hash_value(field, raw)
    if field.form in STACK_FORMS:
        names = stacks(int.from_bytes(raw, "little"))
        if names is None or field.form != "usym":
            return None if names is None else list(names)
        return names[0] if names else "0x0"
    if field.form in TEXTS:
        return TEXTS[field.form](raw)
    if field.form == "bool":
        return any(raw)
    number = int.from_bytes(raw, "little", signed=field.form[0] == "s")
    shown = field.presentation
    if shown is not None and shown.form:
        return NUMBER_TEXTS[shown.form](number, shown)
    if shown is None:
        return number
    return shown.names.get(number, shown.otherwise or number)


def is_number(field: RenderedField) -> bool:
    """Whether the field is shown as digits, and not as a name that they stand for."""
    return shown_field(field).is_number


def make_token_renderer(
    field: RenderedField, stacks: StackNames = no_stacks
) -> Callable[[bytes], bytes]:
    """The function from this field's raw bytes to its JSON in a record: of a container all that is
    known of it, where a key has a text."""
    shown = field.presentation
    if shown is not None and shown.form == "container" and not shown.hashed:
        return lambda raw: dump_json(describe_container(int.from_bytes(raw, "little")))
    return lambda raw: dump_json(decode_field(field, raw, stacks))


def bound_token_size(field: RenderedField) -> int:
    """An upper bound, in bytes, on a value of this field as JSON."""
    if _is_hashed(field):
        return _DIGEST
    if field.form in _LONGEST:
        return _LONGEST[field.form]
    if field.form in TEXTS:
        return 2 + _ESCAPED_BYTE * field.size
    shown = field.presentation
    if shown is None:
        return _LONGEST_NUMBER
    names = [2 + _ESCAPED_BYTE * len(name) for name in (*shown.names.values(), shown.otherwise)]
    if shown.names_cgroups:
        return 2 + _ESCAPED_BYTE * 4 * LONGEST_CGROUP
    if shown.form == "bits":
        return sum(names) + len(names) + _LONGEST_NUMBER
    return max(_STOOD_FOR if shown.form else _LONGEST_NUMBER, *names)


def make_truncated_renderer(emit: Emit) -> Callable[[bytes], bytes]:
    """The function from the header's `truncated` word to the JSON that lists those fields."""

    def render(raw: bytes) -> bytes:
        mask = int.from_bytes(raw, "little")
        names = [field.name for field in emit.fields if mask >> field.bit & 1]
        return b',"truncated":' + dump_json(names) if names else b" "

    return render


def _is_hashed(field: RenderedField) -> bool:
    return field.presentation is not None and field.presentation.hashed


def _hash_value(field: RenderedField, raw: bytes) -> str:
    """A digest in place of a value. Within a run equal values have equal digests. The salt is drawn
    for each run and written nowhere, so that digests cannot be looked up in tables."""
    from hashlib import sha256  # few plans redact anything

    assert field.presentation is not None
    if not field.presentation.salt:
        raise ValueError("a value has to be hashed, but the run has drawn no salt")
    text = raw.partition(b"\0")[0] if field.form == "string" else raw
    if field.form in LENGTH_PREFIXED:
        text = used_bytes(raw)
    return "sha256:" + sha256(field.presentation.salt + text).hexdigest()[:16]
