"""The kernel's filters say what the reference evaluator says."""

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.tracefs.design.filters import filter_text
from orchestrator.backends.tracefs.design.writes import Write, names_from_run_id
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.backends.tracefs.reader.drain import Drain
from orchestrator.compile.expressions.evaluate import evaluate
from orchestrator.compile.expressions.nodes import Arithmetic, Combination, Comparison, Const, Node
from orchestrator.compile.expressions.types import Int, wrap_integer
from orchestrator.kernel.abi.dynamic_events import Event
from orchestrator.kernel.tracepoints import parse_format
from tests.support.tracefs_runs import leftovers, new_run
from tests.unit.backends.tracefs.design.test_filters import COMPARISONS, FIELDS, KINDS, field_of


def random_condition(chance: random.Random, depth: int = 2) -> Node:
    """A condition over the live event's fields."""
    if depth and chance.random() < 0.5:
        op: Any = chance.choice(["and", "or", "not"])
        parts = tuple(random_condition(chance, depth - 1) for _ in range(1 if op == "not" else 2))
        return Combination(op, parts)
    field: Node = chance.choice(list(FIELDS))
    assert isinstance(field.type, Int)
    constant = wrap_integer(
        chance.choice([chance.randint(-300, 600), 127, 128, 255, -128]), field.type
    )
    if chance.random() < 0.3:
        mask = Const(abs(constant) & 127, field.type)
        zero = Const(0, field.type)
        return Comparison(
            chance.choice(["==", "!="]), Arithmetic("&", field, mask, field.type), zero
        )
    return Comparison(chance.choice(COMPARISONS), field, Const(constant, field.type))


CALLS = 400


@pytest.mark.usefixtures("nothing_left")
def test_the_kernel_agrees_with_the_evaluator(load: str, tracing: Path) -> None:
    """Random filters on an argument that counts 0, 1, …, seen through all integer types: the
    kernel accepts the text and lets through exactly the calls for which the expression holds."""
    names = names_from_run_id(new_run())
    fetch = tuple(f"a{i}=%di:{kind.name}" for i, kind in enumerate(KINDS))
    found = subprocess.run(["nm", load], check=True, capture_output=True, text=True).stdout
    address = next(
        int(line.split()[0], 16) for line in found.splitlines() if line.endswith(" target_fn")
    )
    event = Event(
        group=names.group,
        name=f"f_{names.token}",
        path=load,
        offset=_file_offset(load, address),
        fetch=fetch,
    )
    instance = TraceInstance(tracefs=tracing, names=names, journal=_ignore, unjournal=_ignore)
    at = f"{names.directory}/events/{event.full_name}"
    chance = random.Random(20)  # noqa: S311  # a fixed sequence of cases
    try:
        instance.perform_writes(
            [
                Write(action="define", path="uprobe_events", text=event.line, event=event),
                Write(action="mkdir", path=names.directory),
                Write(action="write", path=f"{at}/enable", text="1", undo="0"),
            ]
        )
        reported = parse_format(
            names.group, event.name, instance.read_format(names.group, event.name)
        )
        field = reported.field("a7")
        assert field is not None
        drain = Drain(instance)
        for _ in range(40):
            node = random_condition(chance)
            text = filter_text(node, field_of)
            assert text is not None
            instance.perform_writes([Write(action="write", path=f"{at}/filter", text=text)])
            subprocess.run([load, "call", str(CALLS)], check=True, stdout=subprocess.DEVNULL)
            events, _ = drain.take_events((1 << 63) - 1)
            seen = [
                int.from_bytes(
                    bytes(events.buffer[o + field.offset : o + field.offset + 8]), "little"
                )
                for o in events.offset
            ]
            assert seen == [i for i in range(CALLS) if _holds(node, i)], text
    finally:
        instance.close()
    assert leftovers() == set()


def _holds(node: Node, number: int) -> bool:
    return bool(evaluate(node, {f: wrap_integer(number, f.type) for f in FIELDS}))  # type: ignore[arg-type]  # integers


def _file_offset(path: str, address: int) -> int:
    text = subprocess.run(["readelf", "-lW", path], check=True, capture_output=True, text=True)
    for line in text.stdout.splitlines():
        words = line.split()
        if words[:1] == ["LOAD"]:
            offset, start, size = (int(word, 16) for word in (words[1], words[2], words[4]))
            if start <= address < start + size:
                return address - start + offset
    raise AssertionError("no segment holds the function")


def _ignore(_kind: str, _what: str) -> None:
    """No journal."""
