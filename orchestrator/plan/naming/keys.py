"""The keys of metrics and of outstanding resources: names, and expressions with their labels."""

import re
from collections.abc import Mapping

from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import Position
from orchestrator.plan.model import Metric, Once, Outstanding
from orchestrator.plan.params import Unset
from orchestrator.plan.reader import DocumentReader

#: What is its own label and has a meaning that is looked up, not computed.
_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-zA-Z0-9_]*)*", re.ASCII)
_HOLE = re.compile(r"\$\(\s*params\.([a-z0-9_]+)\s*\)")


def read_key(reader: DocumentReader, path: DocumentPath) -> dict[str, Expr | None]:
    """The parts of the key at `path` by their labels: None for a name, which is looked up by its
    label, and the expression of the others."""
    raw = reader.get(path, [])
    key: dict[str, Expr | None] = {}
    for index, item in enumerate(raw):
        part = _read_part(reader, (*path, index), item)
        if part is None:
            continue
        if part[0] in key:
            place = reader.place((*path, index))
            hint = "name it: `by: [{NAME: EXPRESSION}]`"
            message = f"two parts of the key are called {part[0]!r}"
            reader.collector.add("PP057", message, place, hint)
        key.setdefault(*part)
    return key


def computed_labels(key: Mapping[str, Expr | None]) -> dict[str, Expr]:
    """The labels of expressions, with these."""
    return {label: expr for label, expr in key.items() if expr is not None}


def key_expression(owner: Metric | Outstanding | Once, label: str, place: Position) -> Expr:
    """What the part `label` of a key is. Raises PlanError where it is a name that cannot be one."""
    return owner.computed.get(label) or parse(label, place)


def _read_part(
    reader: DocumentReader, path: DocumentPath, item: object
) -> tuple[str, Expr | None] | None:
    """The label and the expression of a part; None for none, and for what was refused."""
    if isinstance(item, dict):
        for name in item:
            expr = reader.expression((*path, name))
            return None if expr is None else (str(name), expr)
        return None
    try:
        text = reader.filled_text(path)
    except Unset:
        return None
    if text is None or text == "none":
        return None
    if _NAME.fullmatch(text):
        return text, None
    if text != item and not _is_chosen(reader, str(item)):
        hint = "values of params are names here, but for those among the `choices` of a param"
        message = f"cannot count by {text[:60]!r}"
        reader.collector.add("PP055", message, reader.place(path), hint)
        return None
    expr = reader.parse_text(text, path)
    return None if expr is None else (" ".join(text.split()), expr)


def _is_chosen(reader: DocumentReader, text: str) -> bool:
    """Whether `text` is a param's value as a whole, which is among those that the plan lists."""
    hole = _HOLE.fullmatch(text)
    param = reader.params.get(hole[1]) if hole else None
    return param is not None and param.type == "choice"
