"""The plan's own names for numbers, from a checked document."""

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.model import LabelTable
from orchestrator.plan.reader import DocumentReader

#: The key for all numbers that have no other.
OTHERWISE = "_"
_TRUTHS = {"true": 1, "false": 0}


def build_labels(reader: DocumentReader) -> dict[str, LabelTable]:
    """The plan's `labels`, by name."""
    return {name: _build_one(reader, name) for name in reader.get(("labels",), {})}


def _build_one(reader: DocumentReader, name: str) -> LabelTable:
    path: DocumentPath = ("labels", name)
    names: dict[int | str, str] = {}
    for key, raw in reader.get(path).items():
        number = _read_key(key)
        if number in names:
            place = reader.collector.document.key_position((*path, key))
            hint = f"remove one of them: {names[number]!r} is its name already"
            reader.collector.add("PP006", f"duplicate key {key!r}", place, hint)
        if key != OTHERWISE:
            names[number] = str(raw)
    otherwise = reader.get((*path, OTHERWISE))
    return LabelTable(
        name=name,
        names=names,
        otherwise=None if otherwise is None else str(otherwise),
        position=reader.collector.document.key_position(path),
    )


def _read_key(key: str) -> int | str:
    """A number, or the name of a constant, whose value is the kernel's."""
    if key in _TRUTHS:
        return _TRUTHS[key]
    digits = key.removeprefix("-")
    return int(key, 0) if digits[:1].isdigit() else key
