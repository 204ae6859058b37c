"""The steps of CONTRIBUTING are complete: followed with something made up, they work."""

import argparse
import json
import re
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import get_args

import pytest

from orchestrator import cli
from orchestrator.backends import backend, descriptors
from orchestrator.backends.bcc.design import mechanism
from orchestrator.backends.tracefs.design import lowering
from orchestrator.compile import points
from orchestrator.compile.expressions import arithmetic, functions
from orchestrator.compile.expressions.evaluate import evaluate
from orchestrator.compile.expressions.nodes import Node, RawArg
from orchestrator.compile.expressions.types import U64
from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.output.log import EventKind
from orchestrator.plan import attach, attach_kinds, probes
from orchestrator.plan.expression import names
from orchestrator.plan.findings import Position
from orchestrator.plan.load import check_plan, load_plan
from orchestrator.run.choice import choose_backend
from tests.support.paths import KERNELS, ROOT
from tests.support.samples import lifecycle
from tests.unit.docs.pages import HEAD

PLAN = f"{HEAD}probes:\n  one: {{attach: rawtracepoint:sys_enter, emit: {{x: doubled(arg1)}}}}\n"


@pytest.fixture(scope="module")
def facts() -> KernelFacts:
    return load_facts(KERNELS / "6.1.facts.xz")


# ---------------------------------------------------------------- a function


def _doubled(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return arithmetic.make_binary("*", args[0], arithmetic.make_constant(2), position)


@pytest.fixture
def _doubled_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "FUNCTIONS", {**names.FUNCTIONS, "doubled": (1, 1)})
    monkeypatch.setitem(functions.FUNCTIONS, "doubled", (1, 1, _doubled))


def test_an_unknown_function_is_a_finding() -> None:
    assert [finding.code for finding in check_plan(PLAN.encode())[1]] == ["PP023"]


@pytest.mark.usefixtures("_doubled_is_known")
def test_a_function_that_two_tables_name_is_linted_compiled_evaluated_and_emitted(
    facts: KernelFacts,
) -> None:
    assert not check_plan(PLAN.encode())[1]
    program = compile_plan(load_plan(PLAN.encode()), facts)
    (emitted,) = program.hooks[0].body.emit
    assert evaluate(emitted, {RawArg(1, U64): 21}) == 42
    assert " * 2" in backend("bcc").emit(program, facts).text


# ---------------------------------------------------------------- an attach kind


def test_an_attach_kind_is_a_row_of_four_tables(
    monkeypatch: pytest.MonkeyPatch, facts: KernelFacts
) -> None:
    for module in (attach, probes):  # what the name in the Literal does
        monkeypatch.setattr(module, "ATTACH_KINDS", (*attach_kinds.ATTACH_KINDS, "made"))
    tables: tuple[tuple[object, str], ...] = (
        (attach_kinds.KINDS, "rawtracepoint"),
        (points._FINDERS, "rawtracepoint"),
        (mechanism._CANDIDATES, "rawtracepoint"),
        (lowering._NEEDS, "tracepoint"),
    )
    for table, like in tables:
        assert isinstance(table, dict)
        monkeypatch.setitem(table, "made", table[like])
    plan = f"{HEAD}probes:\n  one: {{attach: made:sys_enter, emit: {{x: args.id}}}}\n"
    assert not check_plan(plan.encode())[1]
    program = compile_plan(load_plan(plan.encode()), facts)
    assert not backend("bcc").unsupported(program, facts, user_space=False)


def test_the_kinds_of_policies_are_those_of_the_table() -> None:
    schema = json.loads((ROOT / "schema" / "policy-v1.schema.json").read_text())
    assert set(schema["$defs"]["kinds"]["items"]["enum"]) == set(attach_kinds.ATTACH_KINDS)


# ---------------------------------------------------------------- a record kind


def test_the_tables_that_name_record_kinds_agree() -> None:
    schema = json.loads((ROOT / "schema" / "log-v1.schema.json").read_text())
    kinds = set(schema["properties"]["event"]["enum"])
    tied = {rule["if"]["properties"]["event"]["const"] for rule in schema["allOf"]}
    assert kinds == tied == kinds & set(schema["$defs"])
    assert {*get_args(EventKind), "event.recorded"} == kinds
    assert {*lifecycle(), "event.recorded", "metric.reported"} == kinds


# ---------------------------------------------------------------- a command


def test_a_command_is_a_module_and_a_line_of_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("made_up")
    module.add_arguments = _add_arguments  # type: ignore[attr-defined]
    module.main = lambda args: args.code  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up", module)
    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "made": ("made_up", "a made-up one")})
    assert cli.main(["made", "--code", "4"]) == 4
    assert cli.main(["--help"]) == 0
    assert "a made-up one" in capsys.readouterr().out


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--code", type=int)


# ---------------------------------------------------------------- a backend


def test_a_backend_is_a_module_and_a_row_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, facts: KernelFacts
) -> None:
    artifact = SimpleNamespace(memory={}, program=None)
    module = ModuleType("made_up_backend")
    module.NAME = "made"  # type: ignore[attr-defined]
    module.unsupported = lambda *_args, **_options: ()  # type: ignore[attr-defined]
    module.emit = lambda program, _facts: _of(artifact, program)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_backend", module)
    like = descriptors.descriptor_of("tracefs")
    row = replace(like, name="made", module="made_up_backend")
    monkeypatch.setitem(descriptors.BACKEND_DESCRIPTORS, "made", row)
    plan = f"{HEAD}probes:\n  one: {{attach: rawtracepoint:sys_enter, emit: {{}}}}\n"
    program = compile_plan(load_plan(plan.encode()), facts)
    assert choose_backend(program, facts, "made").backend is module


def _of(artifact: SimpleNamespace, program: object) -> SimpleNamespace:
    artifact.program = program
    return artifact


def test_no_module_outside_of_backends_names_a_backend() -> None:
    """`kernel/` and `doctor` name features of a kernel, two of which are called like backends."""
    package = ROOT / "orchestrator"
    quoted = re.compile(r"""["'](?:bcc|tracefs)["']""")
    naming = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] != "backends" and quoted.search(path.read_text())
    }
    assert {name for name in naming if not name.startswith("kernel/")} <= {"cli/doctor.py"}
