"""Unused definitions and captures are dropped, the others renumbered."""

from orchestrator.compile.drop_unused import drop_unused
from orchestrator.compile.expressions.nodes import Arithmetic, Builtin, Captured, Const, Let, LetRef
from orchestrator.compile.expressions.types import U32
from orchestrator.compile.program import Body, EntrySide

PID, TID, ONE = Builtin("pid", U32), Builtin("tid", U32), Const(1, U32)


def test_what_is_used_through_another_definition_stays() -> None:
    """b uses a; the definition between them is dropped, and references follow."""
    lets = (
        Let(name="a", node=PID),
        Let(name="unused", node=TID),
        Let(name="b", node=Arithmetic("+", LetRef(0, "a", U32), ONE, U32)),
    )
    body = drop_unused(Body(lets=lets, where=(), emit=(LetRef(2, "b", U32),), metrics=()))
    assert [let.name for let in body.lets] == ["a", "b"]
    assert body.emit == (LetRef(1, "b", U32),)
    assert body.lets[1].node == Arithmetic("+", LetRef(0, "a", U32), ONE, U32)


def test_captures_are_dropped_with_the_definition_that_used_them() -> None:
    """The entry then keeps less."""
    lets = (Let(name="unused", node=Captured(0, U32)),)
    entry = EntrySide(where=(), captures=(PID, TID))
    body = drop_unused(Body(lets=lets, where=(), emit=(Captured(1, U32),), metrics=(), entry=entry))
    assert body.lets == ()
    assert body.entry == EntrySide(where=(), captures=(TID,))
    assert body.emit == (Captured(0, U32),)
