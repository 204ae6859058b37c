"""The values that a tracepoint's print format names, as numbers, for people who look for them."""

from collections.abc import Callable, Mapping

from orchestrator.kernel.trace.number_names import evaluate_constant, parse_printed_names

__all__ = ["ValueNames", "parse_tables"]

#: (name, value) pairs, in the order of the table.
ValueNames = tuple[tuple[str, int], ...]
#: Looks up a constant by name.
_ConstantLookup = Callable[[str], int | None]


def parse_tables(
    text: str, find_constant: _ConstantLookup = lambda _name: None
) -> Mapping[str, ValueNames]:
    """The tables by field, from the text of a `format` file. Entries whose value is not known are
    left out, and so are tables about a part of a field."""
    _, _, printed = text.partition("\nprint fmt:")
    tables = {}
    for field, named in parse_printed_names(printed).items():
        values = ((name, evaluate_constant(value, find_constant)) for value, name in named.entries)
        if known := tuple((name, value) for name, value in values if value is not None):
            tables[field] = known
    return tables
