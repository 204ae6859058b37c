"""Spans and outstanding resources, from a checked document."""

from orchestrator.plan import units
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.model import Outstanding, Span, SpanSum
from orchestrator.plan.naming.keys import computed_labels, read_key
from orchestrator.plan.probes import read_condition, read_emit, read_metrics
from orchestrator.plan.reader import DocumentReader

MAX_OPEN = 10_000_000


def build_spans(reader: DocumentReader) -> tuple[Span, ...]:
    """The plan's spans, in the order of the file."""
    return tuple(_build_span(reader, ("spans", name)) for name in reader.get(("spans",), {}))


def build_outstanding(reader: DocumentReader) -> tuple[Outstanding, ...]:
    """The plan's outstanding resources, in the order of the file."""
    heads = [("outstanding", name) for name in reader.get(("outstanding",), {})]
    resources = [_build_one_outstanding(reader, head) for head in heads]
    return tuple(resource for resource in resources if resource is not None)


def _build_span(reader: DocumentReader, path: DocumentPath) -> Span:
    data = reader.get(path)
    return Span(
        name=str(path[-1]),
        start=reader.names((*path, "start")),
        end=reader.names((*path, "end")),
        key=reader.names((*path, "key")),
        via=reader.names((*path, "via")),
        cancel=reader.names((*path, "cancel")),
        add=_read_sums(reader, (*path, "add")),
        again=data.get("again", "replace"),
        max_open=reader.quantity((*path, "max_open"), _parse_max_open, 10_000),
        open_at_end=data.get("open_at_end", False),
        let=reader.expressions((*path, "let")),
        where=read_condition(reader, (*path, "where")),
        emit=read_emit(reader, (*path, "emit")),
        metrics=read_metrics(reader, path),
        position=reader.collector.document.key_position(path),
    )


def _read_sums(reader: DocumentReader, path: DocumentPath) -> tuple[SpanSum, ...]:
    sums = []
    for name in reader.get(path, {}):
        value = reader.expression((*path, name, "sum"))
        if value is not None:  # None: reported where it was read, or by the schema
            of = reader.names((*path, name, "from"))
            position = reader.collector.document.key_position((*path, name))
            sums.append(SpanSum(name=name, of=of, value=value, position=position))
    return tuple(sums)


def _build_one_outstanding(reader: DocumentReader, path: DocumentPath) -> Outstanding | None:
    value = reader.expression((*path, "value"))
    if value is None:  # reported where it was read, or by the schema
        return None
    by = read_key(reader, (*path, "by"))
    return Outstanding(
        name=str(path[-1]),
        open=reader.names((*path, "open")),
        close=reader.names((*path, "close")),
        key=reader.names((*path, "key")),
        value=value,
        by=tuple(by),
        computed=computed_labels(by),
        min_age_ns=reader.quantity((*path, "min_age"), _parse_age, 0),
        top=reader.get((*path, "top"), 20),
        max_open=reader.quantity((*path, "max_open"), _parse_max_open, 100_000),
        position=reader.collector.document.key_position(path),
    )


def _parse_max_open(text: str) -> int:
    return units.parse_count(text, high=MAX_OPEN)


def _parse_age(text: str) -> int:
    return units.parse_duration(text, low=0)
