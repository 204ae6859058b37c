"""What tests of runs share: a run of the fake backend, its lines checked against the schema."""

import io
import json
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from orchestrator.compile.program import Program
from orchestrator.kernel.facts import live_facts
from orchestrator.output.result import ResultDirectory
from orchestrator.output.sink import Sink
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Metadata, Plan, Target
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared, choose_backend
from orchestrator.run.lifecycle import Run
from orchestrator.run.options import RunOptions, RunWatch
from orchestrator.run.report.result import RunResult
from orchestrator.run.signals import Signals
from tests.support.fake_backend import FakeBackend, Script, program
from tests.support.paths import ROOT
from tests.support.results import checked_result

#: What runs import once they are armed: on a busy machine it takes longer than a test's duration.
import_module("orchestrator.run.live")

SCHEMA = ROOT / "schema" / "log-v1.schema.json"


@cache
def log_validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text()))


def checked_lines(text: bytes | str) -> list[dict[str, Any]]:
    """JSON lines as records, each valid against the log schema."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        log_validator().validate(record)
    return found


def a_plan() -> Plan:
    return Plan(
        metadata=Metadata(name="fake-plan", summary="for tests"),
        limits=program().limits,
        target=Target(),
        probes=(),
        source=b"kind: ProbePlan\n",
        sha256="0" * 64,
    )


def plan_of(figures: str, warn: str = "value < 0", more: str = "") -> Plan:
    """The plan of fake.program, with figures. `more`: another metric."""
    return load_plan(
        b"apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: fake-plan, summary: x}\n"
        b"params: {most: {type: int, default: 3}}\n"
        b"probes:\n  opens:\n    attach: tracepoint:fake:open\n    emit: {n: arg0}\n"
        b"    metrics: {calls: {count: true, by: [comm], warn: '"
        + warn.encode()
        + (b"'}, " + more.encode() + b"}\n" if more else b"'}}\n")
        + figures.encode()
    )


class Ran:
    """A run of the fake backend that is over."""

    def __init__(self, tmp_path: Path) -> None:
        self.journals = (tmp_path / "journals",)
        self.stream = io.BytesIO()
        self.backend = FakeBackend()
        self.result: RunResult | None = None
        self.reported: list[str] = []

    def go(
        self,
        script: Script | None = None,
        what: Program | None = None,
        *,
        sink: Sink | None = None,
        command: tuple[str, ...] = (),
        out: Path | None = None,
        plan: Plan | None = None,
        label: str | None = None,
        watch: RunWatch | None = None,
        needed_at_end: tuple[str, ...] = (),
        policies: tuple[Policy, ...] = (),
    ) -> RunResult:
        self.backend = FakeBackend(script)
        facts = live_facts()
        with Signals() as signals:
            wanted = what or program()
            prepared = Prepared(
                plan=plan or a_plan(),
                facts=facts,
                policies=policies,
                program=wanted,
                choice=choose_backend(wanted, facts, "bcc", {"bcc": self.backend}),
            )
            options = RunOptions(
                command=command,
                log=sink or Sink(self.stream),
                journals=self.journals,
                notify=self.reported.append,
                label=label,
                watch=watch,
                needed_at_end=needed_at_end,
            )
            directory = ResultDirectory(out) if out else None
            self.result = Run(prepared, options, directory, signals).execute()
        if out and (out / "result.json").exists():
            checked_result(out)
        return self.result

    @property
    def lines(self) -> list[dict[str, Any]]:
        return checked_lines(self.stream.getvalue())

    def kinds(self) -> list[str]:
        return [line["event"] for line in self.lines]

    @property
    def diary(self) -> list[str]:
        assert self.backend.session is not None
        return self.backend.session.diary


Go = Callable[..., RunResult]
