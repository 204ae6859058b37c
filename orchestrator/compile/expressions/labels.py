"""Names for numbers: by the kernel's own tables, by groups of constants, by the plan's `labels`."""

from collections.abc import Mapping

from orchestrator.compile.expressions.arithmetic import require_integer
from orchestrator.compile.expressions.functions import require_text
from orchestrator.compile.expressions.nodes import Node, ShownAs, ShownForm
from orchestrator.compile.expressions.scope import HookScope
from orchestrator.compile.expressions.task_functions import tag_call_number
from orchestrator.compile.expressions.types import Int, wrap_integer
from orchestrator.compile.expressions.vocabulary import find_constant_value
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.trace.number_names import NumberNames, evaluate_constant
from orchestrator.plan.findings import Position, plan_error
from orchestrator.plan.nearest import suggest_or_list

__all__ = ["FORMS", "show_by_group", "show_by_own_names", "show_by_plan"]

#: How numbers that are shown by these functions are shown.
FORMS: Mapping[str, ShownForm] = {"label": "", "flags": "bits"}
_HINT = 'name a group of constants, label(x, "AF_"), or your own names under `labels` of the plan'


def show_by_own_names(scope: HookScope, value: Node, position: Position) -> ShownAs:
    """`value` by the names that the kernel has for it: of the tracepoint's print format or of its
    type, an enum. Raises PlanError where it has none."""
    number = require_integer(value, position)
    assert isinstance(number.type, Int)
    own = number.type.names
    names = {} if own is None else _read_names(own, number.type, scope.facts)
    if own is None or not (names or own.kind == "unrecorded"):
        message = "there are no names for the values of this number"
        raise plan_error("PP082", message, position, _HINT)
    return ShownAs(number, number.type, names, form="bits" if own.kind == "flags" else "")


def _read_names(own: NumberNames, kind: Int, facts: KernelFacts) -> dict[int, str]:
    if own.kind == "enum":
        return _read_enum(own, kind, facts)
    names: dict[int, str] = {}
    for text, name in own.entries:
        value = evaluate_constant(text, lambda word: find_constant_value(word, facts))
        if value is not None:
            names.setdefault(wrap_integer(value, kind), name)
    return names


def _read_enum(own: NumberNames, kind: Int, facts: KernelFacts) -> dict[int, str]:
    type_id = own.type_id
    if not type_id and facts.btf is not None:
        type_id = facts.btf.enum(own.ctype) or 0
    table = facts.table_of(type_id) if type_id else None
    names: dict[int, str] = {}
    for name, value in table.enumerators(type_id) if table is not None else ():
        names.setdefault(wrap_integer(value, kind), name)
    return names


def show_by_group(
    scope: HookScope, function: str, value: Node, prefix: Node, position: Position
) -> ShownAs:
    """`value` by the constants that begin with the text `prefix`: of a shipped group, else of the
    kernel's enumerators. `function`: label or flags. Raises PlanError."""
    from orchestrator.kernel.constants import names_by_value
    from orchestrator.kernel.syscalls import syscall_names

    text = require_text(prefix, function, position).decode()
    facts = scope.facts
    if function == "label" and text == "SYS_":
        number = tag_call_number(facts, value, position)
        return ShownAs(number, number.type, syscall_names(facts.arch))
    number = require_integer(value, position)
    shipped = names_by_value(text, facts.arch)
    if shipped and function == "flags":
        return ShownAs(number, number.type, form="flags", prefix=text)
    if shipped:
        return ShownAs(number, number.type, shipped)
    names = _find_enumerators(facts, function, text, position)
    assert isinstance(number.type, Int)
    own = {wrap_integer(code, number.type): name for code, name in names.items()}
    return ShownAs(number, number.type, own, form=FORMS[function])


def _find_enumerators(
    facts: KernelFacts, function: str, prefix: str, position: Position
) -> Mapping[int, str]:
    from orchestrator.kernel.constants import GROUPS

    known = f"groups: {', '.join((*GROUPS, 'SYS_'))}"
    if not prefix:
        message = f"{function} needs the prefix of its names"
        raise plan_error("PP084", message, position, known)
    names = facts.btf.enumerators_from(prefix) if facts.btf is not None else {}
    if not names:
        message = f"no constants are known that begin with {prefix!r}"
        where = "in no group, and the kernel's types have no such enumerator"
        raise plan_error("PP082", f"{message}: {where}", position, known)
    return names


def show_by_plan(
    scope: HookScope, function: str, value: Node, name: str, position: Position
) -> ShownAs:
    """`value` by the plan's own names, those of `labels.NAME`. Raises PlanError."""
    table = scope.labels.get(name)
    if table is None:
        hint = suggest_or_list(name, tuple(scope.labels))
        raise plan_error("PP087", f"the plan has no labels {name!r}", position, hint)
    number = require_integer(value, position)
    assert isinstance(number.type, Int)
    names: dict[int, str] = {}
    for key, text in table.names.items():
        code = key if isinstance(key, int) else find_constant_value(key, scope.facts)
        if code is None:
            message = f"the constant {key!r} of the labels {name!r} is not known on this kernel"
            raise plan_error("PP087", message, table.position)
        names[wrap_integer(code, number.type)] = text
    return ShownAs(
        number, number.type, names, form=FORMS[function], otherwise=table.otherwise or ""
    )
