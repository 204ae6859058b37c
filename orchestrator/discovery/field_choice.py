"""Which values of an attach point a first plan records, and by which expression."""

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from orchestrator.compile.expressions.types import Array, Bool, Int, Pointer, Str
from orchestrator.discovery.description import PointValue
from orchestrator.kernel.constants import GROUPS
from orchestrator.plan.expression.names import BUILTINS
from orchestrator.plan.printable import make_printable
from orchestrator.values import dataclass

__all__ = ["PlanField", "choose_fields", "write_name"]

#: More fields than these are shown as comments.
_MOST_FIELDS = 8
_LONGEST_NAME = 48
_YAML_WORDS = frozenset({"on", "off", "yes", "no", "y", "n", "true", "false", "null"})
_MOST_NAMES = 4
_LONGEST_COMMENT = 60
_TEXT = re.compile(r"\bchar \*$")
#: What can be read of a structure behind a pointer.
_OF_STRUCTS = {
    "struct file *": ("path", "path({})"),
    "struct path *": ("path", "path({})"),
    "struct dentry *": ("path", "path({})"),
    "struct sock *": ("peer", "remote({})"),
}
#: Arguments of user functions, of which no type is known: most functions have no more.
_FIRST_POSITIONS = ("arg0", "arg1", "arg2")
_ADDRESSES = {4: "ipv4({})", 16: "ipv6({})"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanField:
    """A field of a record; `comment` says of which type it is. `is_active` is false for fields that
    a plan has in a comment, for the reader to take; `is_number`: it can be compared with 0."""

    name: str
    expression: str
    comment: str
    is_active: bool = True
    is_number: bool = False


def choose_fields(values: Sequence[PointValue]) -> tuple[PlanField, ...]:
    """A field for each value that has an expression; numbers and texts first."""
    fields: list[PlanField] = []
    taken: set[str] = set()
    for value in values:
        for field in _fields_of(value):
            name = _avoid_taken(field.name, taken)
            taken.add(name)
            is_active = field.is_active and sum(f.is_active for f in fields) < _MOST_FIELDS
            fields.append(replace(field, name=name, is_active=is_active))
    return tuple(sorted(fields, key=lambda field: not field.is_active))


def _fields_of(value: PointValue) -> Iterator[PlanField]:
    name = write_name(value.expression.removeprefix("args.").rstrip("_"))
    if name in BUILTINS:  # of the record's own
        name = f"event_{name}"
    comment = _describe_type(value)
    of_struct = _OF_STRUCTS.get(value.ctype.removeprefix("const "))
    match value.type:
        case Int() | Bool() | Str():
            yield PlanField(
                name=name,
                expression=_name_values(value),
                comment=comment,
                is_number=isinstance(value.type, Int),
            )
        case Pointer(space=space) if _TEXT.search(value.ctype):
            is_user_text = space == "user" and value.ctype.startswith("const ")
            yield PlanField(
                name=name,
                expression=f"str({value.expression})",
                comment=comment,
                is_active=is_user_text,
            )
        case Pointer() if of_struct is not None:
            what, text = of_struct
            expression = text.format(value.expression)
            yield PlanField(name=what, expression=expression, comment=comment, is_active=False)
        case Pointer():
            is_first = value.expression in _FIRST_POSITIONS  # perhaps a number
            yield PlanField(
                name=name, expression=value.expression, comment=comment, is_active=is_first
            )
        case Array(count=count) if value.ctype.startswith("__u8["):
            text = _ADDRESSES.get(count, f"buf({{}}, {min(count, 256)})")
            yield PlanField(
                name=name,
                expression=text.format(value.expression),
                comment=comment,
                is_active=False,
            )
        case _:
            return


def _name_values(value: PointValue) -> str:
    """The value, named where its names are those of a group of constants."""
    names = dict(value.names)
    for prefix, group in GROUPS.items():
        if names and names.items() <= group.items():
            return f'label({value.expression}, "{prefix}")'
    return value.expression


def _describe_type(value: PointValue) -> str:
    text = str(value.type)
    if value.ctype and value.ctype != text:
        text += f", {value.ctype}"
    if value.names:
        shown = ", ".join(f"{name}={number}" for name, number in value.names[:_MOST_NAMES])
        text += f": {shown}"
    is_cut = len(text) > _LONGEST_COMMENT or len(value.names) > _MOST_NAMES
    return make_printable(text[:_LONGEST_COMMENT] + ("…" if is_cut else ""))


def write_name(text: str) -> str:
    """`text` as a name in a plan: lower-case letters, digits and _, and no word that YAML or Python
    owns."""
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[: _LONGEST_NAME - 8] or "value"
    if name[0].isdigit():
        return f"n{name}"
    return f"{name}_value" if name in _YAML_WORDS or keyword.iskeyword(name) else name


def _avoid_taken(name: str, taken: set[str]) -> str:
    numbered = (f"{name}{number}" for number in range(2, 100))
    return name if name not in taken else next(one for one in numbered if one not in taken)
