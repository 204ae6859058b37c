"""Results as Parquet tables, for SQL: runs, their cells, and the buckets of histograms.

They have all runs that a merge adds, each by itself, so that DuckDB, ClickHouse or Spark can answer
what a merge does not. Needs pyarrow (the extra `fleet`).
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa
from pyarrow import parquet

from orchestrator.accounting.count import UNKNOWN
from orchestrator.fleet.host_result import HostResult, HostRun, MetricPart
from orchestrator.fleet.sums import CellNumbers, describe_key

__all__ = ["ResultTables"]

#: Whole numbers of which some are signed and some have all of 64 bits; sums of many.
_WORD, _SUM = pa.decimal128(20), pa.decimal128(38)
_RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("plan", pa.string()),
        ("plan_sha256", pa.string()),
        ("settings", pa.string()),
        ("host", pa.string()),
        ("host_id", pa.string()),
        ("boot_id", pa.string()),
        ("kernel", pa.string()),
        ("kernel_build_id", pa.string()),
        ("arch", pa.string()),
        ("cpus", pa.int64()),
        ("version", pa.string()),
        ("backend", pa.string()),
        ("label", pa.string()),
        ("outcome", pa.string()),
        ("exit_code", pa.int64()),
        ("complete", pa.bool_()),
        ("because", pa.list_(pa.string())),
        ("start", pa.timestamp("ns", "UTC")),
        ("duration_ns", pa.int64()),
        ("clock_synchronised", pa.bool_()),
        ("clock_error_ns", pa.int64()),
        ("clock_steps", pa.int64()),
    ]
)
_CELLS = pa.schema(
    [
        ("run_id", pa.string()),
        ("cell", pa.int64()),
        ("probe", pa.string()),
        ("metric", pa.string()),
        ("kind", pa.string()),
        ("unit", pa.string()),
        ("layout", pa.string()),
        ("mechanisms", pa.string()),
        ("estimated", pa.bool_()),
        ("cells_omitted", pa.int64()),
        ("key", pa.string()),
        ("other", pa.bool_()),
        ("redacted", pa.bool_()),
        ("events", pa.uint64()),
        ("sum", _SUM),
        ("min", _WORD),
        ("max", _WORD),
        ("below", pa.uint64()),
        ("above", pa.uint64()),
        ("inexact", pa.bool_()),
    ]
)
_BUCKETS = pa.schema(
    [
        ("run_id", pa.string()),
        ("cell", pa.int64()),
        ("edge", _WORD),
        ("middle", pa.float64()),
        ("count", pa.uint64()),
    ]
)
_TABLES = {"runs": _RUNS, "cells": _CELLS, "buckets": _BUCKETS}
_ROWS_IN_MEMORY = 50_000
#: The kinds of metrics that have these columns.
_HAS_SUM, _HAS_EXTREMES = ("sum", "avg"), ("min", "max")


class ResultTables:
    """Writes runs.parquet, cells.parquet and buckets.parquet to a directory. They get their names
    when all is written, and only if nothing was raised; else nothing is left. Raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _TABLES}
        self._files = {name: _open_new(self._partial(name)) for name in _TABLES}
        self._writers = {
            name: parquet.ParquetWriter(self._files[name], schema, compression="zstd")
            for name, schema in _TABLES.items()
        }

    def add(self, result: HostResult) -> None:
        """Add the rows of one result."""
        self._rows["runs"].append(_run_row(result.run))
        number = 0
        for part in result.metrics:
            for name, numbers in part.cells:
                self._rows["cells"].append(_cell_row(result.run, number, part, name, numbers))
                if part.identity.kind == "histogram":
                    self._add_buckets(result.run.run_id, number, part, numbers)
                number += 1
        if sum(map(len, self._rows.values())) >= _ROWS_IN_MEMORY:
            self._flush()

    def _add_buckets(self, run_id: str, cell: int, part: MetricPart, numbers: CellNumbers) -> None:
        middle = part.identity.histogram.find_middle
        self._rows["buckets"] += [
            (run_id, cell, edge, float(middle(edge)), count)
            for edge, count in zip(numbers[6], numbers[7], strict=True)
        ]

    def _flush(self) -> None:
        for name, schema in _TABLES.items():
            rows, self._rows[name] = self._rows[name], []
            if rows:
                columns = [
                    _make_column(column, field.type)
                    for column, field in zip(zip(*rows, strict=True), schema, strict=True)
                ]
                self._writers[name].write_table(pa.Table.from_arrays(columns, schema=schema))

    def _partial(self, name: str) -> Path:
        return self._directory / f".{name}.parquet.partial"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._complete()
        finally:
            self._discard()

    def _complete(self) -> None:
        """Give the tables their names, once all of them are on disk."""
        for name, writer in self._writers.items():
            writer.close()
            self._files[name].flush()
            os.fsync(self._files[name].fileno())
        for name in _TABLES:
            self._partial(name).replace(self._directory / f"{name}.parquet")

    def _discard(self) -> None:
        """Close what is open, and remove what has not got its name."""
        for name, writer in self._writers.items():
            for close in (writer.close, self._files[name].close, self._partial(name).unlink):
                with suppress(OSError):
                    close()


def _open_new(path: Path) -> BinaryIO:
    """A new file; what has the name, a link too, is replaced and not followed."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), "wb")


def _make_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The values. Those that are too large for the column are null: no run writes such numbers, and
    one damaged result is no reason to lose all others."""
    try:
        return pa.array(values, type=kind)
    except (OverflowError, pa.ArrowInvalid):
        return pa.array([value if _fits(value, kind) else None for value in values], type=kind)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.scalar(value, type=kind)
    except (OverflowError, pa.ArrowInvalid):
        return False
    return True


def _run_row(run: HostRun) -> tuple[Any, ...]:
    texts = _make_encodable
    return (
        *(texts(text) for text in (run.run_id, *run.group, run.host, run.host_id, run.boot_id)),
        *(texts(text) for text in (run.kernel, run.kernel_build_id, run.arch)),
        run.cpus,
        *(texts(text) for text in (run.version, run.backend, run.label, run.outcome)),
        run.exit_code,
        None if run.complete == UNKNOWN else run.complete,
        [texts(reason) for reason in run.because],
        run.start_ns,
        run.duration_ns,
        *(None if value == UNKNOWN else value for value in (run.synchronised, run.error_ns)),
        run.clock_steps,
    )


def _cell_row(
    run: HostRun, number: int, part: MetricPart, name: tuple[Any, ...], numbers: CellNumbers
) -> tuple[Any, ...]:
    identity = part.identity
    events, total, least, most, below, above, _, _, inexact = numbers
    described = describe_key(name)
    return (
        run.run_id,
        number,
        *(_make_encodable(text) for text in (identity.probe, identity.metric)),
        identity.kind,
        _make_encodable(identity.unit),
        identity.layout or None,
        _make_encodable(part.mechanisms),
        part.estimated,
        part.cut,
        json.dumps(described["key"]),
        described["other"],
        described["redacted"],
        None if identity.kind in _HAS_EXTREMES else events,
        total if identity.kind in _HAS_SUM else None,
        least if identity.kind == "min" else None,
        most if identity.kind == "max" else None,
        below,
        above,
        inexact,
    )


def _make_encodable(text: str | None) -> str | None:
    """The text without what UTF-8 cannot have."""
    return None if text is None else text.encode(errors="backslashreplace").decode()
