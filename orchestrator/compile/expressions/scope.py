"""The names that expressions may use at one hook."""

from collections.abc import Callable, Mapping
from dataclasses import field

from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.notes import NoteShape
from orchestrator.compile.expressions.types import Int, Type
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import Position
from orchestrator.plan.model import LabelTable
from orchestrator.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HookScope:
    """Names at a hook. `arguments` are `args.NAME`, and `why_unnamed` is what to do where one of
    them is not known, else ""; `positional` gives `argN`; `retval` is None
    where there is no return, and `describe_return` gives a better type for it, as Point has it.
    `paired`: values of the entry are captured. `has_task`: the event
    belongs to a task, which is the one that runs unless `is_running_task` is false. `in_reader`:
    what runs is probeplan, which reads an iterator; `shows_task`: the event's task is the one that
    the iterator shows, whose kernel stack can be taken. `func_number` stands for `func` in the
    kernel: hooks whose `func` is the same have one number."""

    facts: KernelFacts
    label: str
    arguments: Mapping[str, Node]
    why_unnamed: str = ""
    positional: Callable[[int], Node | None]
    retval: Node | None = None
    describe_return: Callable[[Position], Type | None] = lambda _position: None
    paired: bool = False
    has_task: bool = True
    is_running_task: bool = True
    in_reader: bool = False
    shows_task: bool = False
    has_elapsed: bool = False
    probe: str = ""
    func: str = ""
    func_number: int = 0
    params: Mapping[str, "ScalarParam"] = field(default_factory=dict)
    definitions: Mapping[str, Expr] = field(default_factory=dict)
    labels: Mapping[str, LabelTable] = field(default_factory=dict)
    notes: Mapping[str, NoteShape] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarParam:
    """A scalar param as expressions see it."""

    slot: int
    type: Int | None  # None: bool
