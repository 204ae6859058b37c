"""Keys of metrics that are addresses, in hexadecimal for people. The log has numbers. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.compile.program import KeyField, Program
from orchestrator.output.log import LogRecord
from orchestrator.output.terminal.human_units import is_address

__all__ = ["AddressKeys", "list_address_keys", "show_addresses"]

#: By probe or span and metric (None: what is outstanding), the parts of keys that may be addresses.
AddressKeys = Mapping[tuple[str, str | None], Sequence[KeyField]]


def list_address_keys(program: Program) -> AddressKeys:
    """The keys of a program that may be addresses, by their types."""
    found: dict[tuple[str, str | None], Sequence[KeyField]] = {
        (spec.probe, spec.name): spec.key for spec in program.metrics
    }
    for span in program.spans:
        if span.resource is not None:
            found[span.name, None] = span.resource.shown.key
    numbers = {owner: [part for part in key if part.size == 8] for owner, key in found.items()}
    return {owner: parts for owner, parts in numbers.items() if parts}


def show_addresses(record: LogRecord, keys: AddressKeys) -> LogRecord:
    """A record of a metric, of a warning or of what is outstanding, with addresses as texts."""
    owner = (record["outstanding"], None) if "outstanding" in record else _metric_of(record)
    parts = {part.name: part for part in keys.get(owner, ())}
    if not parts:
        return record
    cells = [{**cell, "key": _show_key(cell["key"], parts)} for cell in record["cells"]]
    return {**record, "cells": cells}


def _metric_of(record: LogRecord) -> tuple[str, str | None]:
    return (record["probe"], record["metric"])


def _show_key(key: Mapping[str, Any], parts: Mapping[str, KeyField]) -> dict[str, Any]:
    return {name: _show_value(value, parts.get(name)) for name, value in key.items()}


def _show_value(value: Any, part: KeyField | None) -> Any:
    if part is None or isinstance(value, bool) or not isinstance(value, int):
        return value
    return f"{value:#x}" if is_address(value, part.size, part.unit) else value
