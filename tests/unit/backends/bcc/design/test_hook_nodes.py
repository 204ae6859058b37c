"""The nodes that are evaluated at a hook."""

from orchestrator.backends.bcc.design.hook_nodes import may_be_null, nodes_at_hook
from orchestrator.compile.expressions.nodes import Builtin, Load
from tests.support.bcc_maps import recorded_program


def builtins_of(plan: str) -> set[str]:
    """The names of all builtins at the only hook."""
    [hook] = recorded_program(plan).hooks
    return {node.name for node in nodes_at_hook(hook.body) if isinstance(node, Builtin)}


def test_nodes_inside_definitions_and_of_the_entry_are_found() -> None:
    """`uid` is in a definition, `gid` in the metric's key, `cpu` in the filter."""
    plan = """
probes:
  p:
    attach: "function:vfs_read"
    let: {who: uid + 1}
    where: cpu == 0
    emit: {who: who, took: elapsed}
    metrics: {n: {count: true, by: [gid]}}
"""
    assert builtins_of(plan) == {"uid", "cpu", "gid", "elapsed"}


def test_what_is_read_at_the_entry_can_fail_there() -> None:
    """A member of a pointer, kept until the return; an argument itself cannot fail."""
    plan = """
probes:
  p: {attach: "function:vfs_read", emit: {at: args.file.f_pos, size: args.count}}
"""
    [hook] = recorded_program(plan).hooks
    assert any(isinstance(node, Load) for node in nodes_at_hook(hook.body))
    assert [may_be_null(node, hook.body) for node in hook.body.emit] == [True, False]
