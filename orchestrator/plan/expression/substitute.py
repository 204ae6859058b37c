"""Changes to parsed expressions: text params become constants, as nodes and never as source."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from orchestrator.plan.expression.syntax import Expr, MemberOf, Name, SyntaxNode, TextLiteral


def fill_texts(expr: Expr, texts: Mapping[str, str]) -> Expr:
    """`expr` with `params.x` replaced by the text that `texts` has for x."""
    if not texts:
        return expr
    return replace(expr, root=_rebuild_node(expr.root, lambda node: _fill_node(node, texts)))


def place_at_start(expr: Expr) -> Expr:
    """`expr` with every node at its first column: for text over several lines."""
    return replace(expr, root=_rebuild_node(expr.root, lambda node: replace(node, at=0)))


def _fill_node(node: SyntaxNode, texts: Mapping[str, str]) -> SyntaxNode:
    match node:
        case MemberOf(base=Name(id="params"), name=name, at=at) if name in texts:
            return TextLiteral(texts[name], at)
        case _:
            return node


def _rebuild_node(node: SyntaxNode, change: Callable[[SyntaxNode], SyntaxNode]) -> SyntaxNode:
    """`node` with `change` made to it and to all nodes below, parents first."""
    changed = change(node)
    values = {field.name: getattr(changed, field.name) for field in fields(changed)}
    return replace(
        changed, **{name: _rebuild_part(value, change) for name, value in values.items()}
    )


def _rebuild_part(value: Any, change: Callable[[SyntaxNode], SyntaxNode]) -> Any:
    if isinstance(value, tuple):
        return tuple(_rebuild_node(item, change) for item in value)
    return _rebuild_node(value, change) if isinstance(value, SyntaxNode) else value
