"""Checked document → `Check`: reads the workload, the plan and the expectations."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.check.document.fillings import check_fillings, names_operations
from orchestrator.check.document.inner_plan import read_inner_plan
from orchestrator.check.document.machine_spec import read_machine
from orchestrator.check.expectation.meaning import check_expectations
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.expectation.time_bounds import compares_times
from orchestrator.check.model import Argv, Check, Expectation, Server, Workload
from orchestrator.plan import units
from orchestrator.plan.build import read_metadata
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.params import Unset, build_params
from orchestrator.plan.reader import DocumentReader
from orchestrator.values import dataclass

__all__ = ["build_check"]


#: How often times of two sides are measured, unless the check says it.
_REPEATS_WITH_TIMES = 20


def build_check(
    data: Mapping[str, Any],
    collector: FindingCollector,
    settings: Mapping[str, str],
    *,
    sided: bool | None = None,
) -> Check | None:
    """The check that `data` (what the schema left of the document) means; None where it has no
    usable plan. Problems go to `collector`. `settings`: the params that `--set` gave; `sided`: it
    is one of two sides, and `baseline` the other one; None: it may be, if it has a param."""
    document = collector.document
    params = build_params(data.get("params", {}), settings, collector)
    reader = DocumentReader(data, params, collector)
    here = Path() if document.file.startswith("<") else Path(document.file).parent
    here = here.absolute()
    source, given = data.get("plan"), _read_settings(reader)
    plan = None
    if source is not None:
        plan = read_inner_plan(source, given, here, collector)
    workload = _read_workload(reader)
    machine = read_machine(reader, sided=bool(sided))
    if machine is not None:
        workload = replace(workload, repeats=machine.seeds)
    check_fillings(workload, params, collector, machine)
    _check_operations(workload, reader)
    expectations = _read_expectations(reader)
    if plan is None:
        return None
    may_be = bool(params) if sided is None else sided
    check_expectations(
        expectations, plan, workload, params, collector, sided=may_be, seeded=machine is not None
    )
    if sided and reader.get(("workload", "repeats")) is None:
        workload = _repeat_for_times(workload, expectations, PlanNames(plan))
    metadata = read_metadata(data.get("metadata", {}))
    return Check(
        name=metadata.name,
        path=document.file,
        here=here,
        metadata=metadata,
        plan_source=source if isinstance(source, str) else "",
        plan=plan,
        settings=given,
        params=params,
        workload=workload,
        expectations=expectations,
        baseline=here / data.get("baseline", f"{metadata.name}.baseline.json"),
        source=document.source,
        sha256=hashlib.sha256(document.source).hexdigest(),
        machine=machine,
        position=document.value_position(("metadata", "name")),
    )


def _repeat_for_times(
    workload: Workload, expectations: tuple[Expectation, ...], names: PlanNames
) -> Workload:
    if any(compares_times(expectation, names) for expectation in expectations):
        return replace(workload, repeats=_REPEATS_WITH_TIMES)
    return workload


def _read_settings(reader: DocumentReader) -> dict[str, str]:
    """The values of the plan's params as `--set` would give them, with the check's params in place
    of `$(params.NAME)`; without those whose param has no value yet, or that were refused."""
    given: dict[str, str] = {}
    for name, value in reader.get(("set",), {}).items():
        if not isinstance(value, str):
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
            continue
        with contextlib.suppress(Unset):
            if (text := reader.filled_text(("set", name))) is not None:
                given[name] = text
    return given


# ---------------------------------------------------------------- workload


def _read_workload(reader: DocumentReader) -> Workload:
    head: DocumentPath = ("workload",)
    data = reader.get(head, {})
    ops = data.get("ops", 1)
    default = Workload(run=())
    return Workload(
        run=tuple(data.get("run", ())),
        setup=_read_commands(data, "setup"),
        teardown=_read_commands(data, "teardown"),
        serve=_read_server(reader),
        ops=tuple(ops or default.ops) if isinstance(ops, list) else (ops,),
        warmup=data.get("warmup", default.warmup),
        repeats=data.get("repeats", default.repeats),
        timeout_ns=reader.quantity((*head, "timeout"), units.parse_duration, default.timeout_ns),
        exit=data.get("exit", default.exit),
        cwd=data.get("cwd", default.cwd),
        env=dict(data.get("env", {})),
        pass_env=tuple(data.get("pass_env", ())),
        stdin=data.get("stdin", default.stdin),
        user=data.get("user", default.user),
        cpu=data.get("cpu"),
        steady=data.get("steady", default.steady),
        witness=tuple(data.get("witness", ())),
        position=reader.collector.document.key_position(head),
    )


def _read_commands(data: Mapping[str, Any], key: str) -> tuple[Argv, ...]:
    return tuple(tuple(argv) for argv in data.get(key, ()))


def _read_server(reader: DocumentReader) -> Server | None:
    path: DocumentPath = ("workload", "serve")
    data = reader.get(path)
    if data is None:
        return None
    return Server(
        run=tuple(data.get("run", ())),
        ready=data.get("ready", ""),
        stop=data.get("stop", "SIGTERM"),
        position=reader.collector.document.key_position(path),
    )


def _check_operations(workload: Workload, reader: DocumentReader) -> None:
    """Two numbers of operations have to differ, and the workload has to be given them."""
    path: DocumentPath = ("workload", "ops")
    if not isinstance(reader.get(path), list) or reader.collector.has_refused(path):
        return
    if len(set(workload.ops)) < 2:
        message = f"`ops` has one size, {workload.ops[0]}: a difference needs two"
        hint = "write two sizes, e.g. `ops: [100, 200]`, or one number without brackets"
        reader.collector.add("PP205", message, reader.place(path), hint)
    elif not names_operations(workload):
        message = "`ops` has two sizes, and nothing that runs names `$(ops)`: they do not differ"
        hint = "give it to the program, e.g. `run: [./bulk, $(ops)]`"
        reader.collector.add("PP205", message, reader.place(path), hint)


# ---------------------------------------------------------------- expectations


@dataclass(frozen=True, slots=True)
class _Form:
    """Where an expectation is: the comparison, and what goes with it."""

    that: DocumentPath
    body: Mapping[str, Any]


def _read_expectations(reader: DocumentReader) -> tuple[Expectation, ...]:
    read = (_read_expectation(reader, name) for name in reader.get(("expect",), {}))
    return tuple(expectation for expectation in read if expectation is not None)


def _read_expectation(reader: DocumentReader, name: str) -> Expectation | None:
    path: DocumentPath = ("expect", name)
    raw = reader.get(path)
    form = _Form((*path, "that"), raw) if isinstance(raw, dict) else _Form(path, {})
    that = reader.expression(form.that, fractions=True, filters=True)
    if that is None:  # reported where it was read, or by the schema
        return None
    return Expectation(
        name=name,
        that=that,
        of=form.body.get("of", "median"),
        each=form.body.get("each", False),
        severity=form.body.get("severity", "fail"),
        resolve=form.body.get("resolve", ""),
        summary=form.body.get("summary", ""),
        position=reader.collector.document.key_position(path),
    )
