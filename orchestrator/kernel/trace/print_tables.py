"""The names that a tracepoint's `print fmt` gives to values of its fields.

Source: include/trace/stages/stage3_trace_output.h: `__print_symbolic(REC->state, { 1,
"TCP_ESTABLISHED" }, …)` and `__print_flags(REC->flags, "|", { 1, "A" }, …)`. The kernel replaces
enumerators by numbers where they were declared with TRACE_DEFINE_ENUM; others remain as names of C.
"""

import re
from collections.abc import Callable, Iterator, Mapping

__all__ = ["ValueNames", "parse_tables"]

#: (name, value) pairs, in the order of the table.
ValueNames = tuple[tuple[str, int], ...]

_TABLE = re.compile(
    r"__print_(?:symbolic|flags)(?:_u64)?\(\s*(?P<of>[^,\"{}]{1,200}),(?P<rest>[^{}]{0,40})(?P<table>"
    r"(?:\{\s*(?:[^{}\"]|\"[^\"]*\")*\}[\s,]*)+)"
)
#: A field, perhaps converted: `(int) REC->state`. A bit mask after it, as sched_switch has, shows
#: some of its bits.
_WHOLE_FIELD = re.compile(
    r"[\s(]*(?:\([\w\s]+\)\s*)?REC->(?P<name>\w+)[\s)]*(?:&[\s\da-fx()|+<-]*)?"
)
_ENTRY = re.compile(r'\{\s*(?P<value>[^{}",]+),\s*"(?P<name>[^"]*)"\s*\}')
_NUMBER = re.compile(r"(?P<sign>-?)(?P<digits>0x[0-9a-fA-F]{1,16}|[0-9]{1,20})(?:[uU]?[lL]{0,2})")
_SHIFT = re.compile(r"(?P<number>[^<]+)<<(?P<by>[^<]+)")


#: Looks up a constant by name.
_ConstantLookup = Callable[[str], int | None]


def parse_tables(
    text: str, find_constant: _ConstantLookup = lambda _name: None
) -> Mapping[str, ValueNames]:
    """The tables by field, from the text of a `format` file. Entries whose value is neither a
    number nor a known constant are left out, and so are tables about a part of a field."""
    _, _, printed = text.partition("\nprint fmt:")
    tables: dict[str, ValueNames] = {}
    for match in _TABLE.finditer(printed):
        field = _WHOLE_FIELD.fullmatch(match["of"])
        entries = tuple(_read_entries(match["table"], find_constant))
        if field is not None and entries:
            tables.setdefault(field["name"], entries)
    return tables


def _read_entries(table: str, find_constant: _ConstantLookup) -> Iterator[tuple[str, int]]:
    for entry in _ENTRY.finditer(table):
        value = _read_value(entry["value"])
        if value is None and entry["value"].strip().isidentifier():
            value = find_constant(entry["value"].strip())
        if value is not None and entry["name"].isprintable():
            yield entry["name"], value


def _read_value(text: str) -> int | None:
    """A literal of C, or one shifted by another."""
    bare = text.replace("(", "").replace(")", "").strip()
    shift = _SHIFT.fullmatch(bare)
    if shift is not None:
        number, by = _read_value(shift["number"]), _read_value(shift["by"])
        return None if number is None or by is None or by not in range(64) else number << by
    literal = _NUMBER.fullmatch(bare)
    if literal is None:
        return None
    digits = literal["digits"]
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    try:
        value = int(digits, base)
    except ValueError:  # 08
        return None
    return -value if literal["sign"] else value
