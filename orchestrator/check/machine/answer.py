"""What comes out of a machine, as JSON: a measurement, or why there is none.

The workload is root in the machine, so that what comes out is read as data alone and refused where
it has another shape.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.accounting.count import UNKNOWN
from orchestrator.check.baseline.text import cell_from_data, data_of_cell
from orchestrator.check.measurement import (
    CommandEnd,
    Environment,
    Measurement,
    MetricIdentity,
    ProbeIdentity,
    Repeat,
    WorkloadTrouble,
)
from orchestrator.plan.document.quick_check import accepts_data
from orchestrator.plan.document.schema import BASELINE_SCHEMA, load_schema
from orchestrator.plan.findings import Finding, HostError, PlanError

__all__ = ["UnreadableAnswer", "read_answer", "write_error", "write_measurement"]


class UnreadableAnswer(ValueError):
    """What came out of the machine is no answer."""


# ---------------------------------------------------------------- in the machine


def write_measurement(measurement: Measurement) -> bytes:
    """A measurement; `read_answer` gives the same again."""
    data = {
        "repeats": [_data_of_repeat(repeat) for repeat in measurement.repeats],
        "probes": {name: asdict(probe) for name, probe in measurement.probes.items()},
        "metrics": {
            owner: {name: asdict(metric) for name, metric in metrics.items()}
            for owner, metrics in measurement.metrics.items()
        },
        "environment": asdict(measurement.environment),
        "witness": measurement.witness and _data_of_repeat(measurement.witness),
        "trouble": measurement.trouble and asdict(measurement.trouble),
    }
    return json.dumps(data).encode()


def write_error(error: PlanError | HostError) -> bytes:
    """Why nothing was measured."""
    findings = [[one.code, one.message, one.hint] for one in error.findings]
    kind = "plan" if isinstance(error, PlanError) else "host"
    return json.dumps({"error": kind, "findings": findings}).encode()


def _data_of_repeat(repeat: Repeat) -> dict[str, Any]:
    cells = {
        owner: {name: [data_of_cell(cell) for cell in found] for name, found in metrics.items()}
        for owner, metrics in repeat.cells.items()
    }
    return {
        "ops": repeat.ops,
        "cells": cells,
        **{name: getattr(repeat, name) for name in _NUMBERS},
        "command": asdict(repeat.command),
        "outcome": repeat.outcome,
        "ledger": repeat.ledger,
        "fired_on_host": dict(repeat.fired_on_host),
        "losses": {name: list(losses) for name, losses in repeat.losses.items()},
        "others": sorted(map(list, repeat.others)),
        "would_have": list(repeat.would_have),
    }


_NUMBERS = ("wall_ns", "user_ns", "sys_ns", "maxrss_bytes", "children_lost", "faulted")
#: What some of them are where they are not known.
_INSTEAD = {"maxrss_bytes": None, "children_lost": UNKNOWN, "faulted": UNKNOWN}


# ---------------------------------------------------------------- outside


def read_answer(answer: bytes) -> Measurement:
    """The measurement. Raises PlanError or HostError with the findings made in the machine, at no
    place; UnreadableAnswer."""
    try:
        data = json.loads(answer)
        if "error" in data:
            findings = [
                Finding(code=str(code), message=str(message), hint=str(hint))
                for code, message, hint in data["findings"]
            ]
            raise (PlanError if data["error"] == "plan" else HostError)(findings)
        return _measurement_from(data)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, PlanError | HostError):
            raise
        raise UnreadableAnswer(f"the machine's answer cannot be read: {error!r}") from None


def _measurement_from(data: Mapping[str, Any]) -> Measurement:
    witness, trouble = data["witness"], data["trouble"]
    return Measurement(
        repeats=tuple(map(_repeat_from, data["repeats"])),
        probes={name: _probe_from(probe) for name, probe in data["probes"].items()},
        metrics={
            owner: {
                name: MetricIdentity(**metric | {"by": tuple(metric["by"])})
                for name, metric in metrics.items()
            }
            for owner, metrics in data["metrics"].items()
        },
        environment=Environment(**data["environment"]),
        witness=None if witness is None else _repeat_from(witness),
        trouble=None if trouble is None else WorkloadTrouble(**trouble),
    )


def _probe_from(data: Mapping[str, Any]) -> ProbeIdentity:
    return ProbeIdentity(**{**data, "mechanisms": tuple(data["mechanisms"])})


def _repeat_from(data: Mapping[str, Any]) -> Repeat:
    schema = load_schema(BASELINE_SCHEMA)
    for name in ("ops", *_NUMBERS):
        if type(data[name]) is not int and data[name] != _INSTEAD.get(name, 0):
            raise TypeError(name)
    for metrics in data["cells"].values():
        for cell in (cell for cells in metrics.values() for cell in cells):
            if not accepts_data(cell, schema["$defs"]["cell"], schema):
                raise TypeError("cells")
    command = data["command"]
    left = tuple((int(pid), str(comm)) for pid, comm in command["left"])
    return Repeat(
        ops=data["ops"],
        cells={
            owner: {name: tuple(map(cell_from_data, cells)) for name, cells in metrics.items()}
            for owner, metrics in data["cells"].items()
        },
        **{name: data[name] for name in _NUMBERS},
        command=CommandEnd(**{**command, "left": left}),
        outcome=str(data["outcome"]),
        ledger=data["ledger"],
        fired_on_host=data["fired_on_host"],
        losses={name: _texts(losses) for name, losses in data["losses"].items()},
        others=frozenset((str(owner), str(name)) for owner, name in data["others"]),
        would_have=_texts(data["would_have"]),
    )


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))
