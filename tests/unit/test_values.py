"""Classes made by orchestrator.values behave as those of the standard library."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from orchestrator import values

MANY = 100  # objects, after which `__init__` is compiled

Decorator = Callable[..., Callable[[type], type]]


def make_classes(dataclass: Decorator) -> dict[str, Any]:
    """The same declarations, by one of the two decorators."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Frozen:
        """One."""

        kind: ClassVar[str] = "a class's own"
        name: str
        size: int = 3
        parts: dict[str, int] = dataclasses.field(default_factory=dict)
        note: str = dataclasses.field(default="", compare=False)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Child(Frozen):  # type: ignore[valid-type, misc]  # a class made here
        """With one more."""

        last: bool = False

    @dataclass(frozen=True, slots=True)
    class Positional:
        """By position."""

        left: int
        right: int = 7

    @dataclass(slots=True)
    class Changing:
        """Not frozen, and with fields that are no parameters."""

        total: int
        seen: list[int] = dataclasses.field(default_factory=list, init=False)
        last: int = dataclasses.field(default=5, init=False)
        later: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            self.later = self.total * 2

    @dataclass(frozen=True, slots=True)
    class Empty:
        """Nothing."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Spoken:
        """Describes itself."""

        word: str

        def __repr__(self) -> str:
            return f"<{self.word}>"

    made = (Frozen, Child, Positional, Changing, Empty, Spoken)
    return {each.__name__: each for each in made}


OURS = make_classes(values.dataclass)
THEIRS = make_classes(dataclasses.dataclass)
OBJECTS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Frozen", (), {"name": "a"}),
    ("Frozen", (), {"name": "a", "size": 4, "note": "n", "parts": {"x": 1}}),
    ("Child", (), {"name": "a", "last": True}),
    ("Positional", (1,), {}),
    ("Positional", (1, 2), {}),
    ("Positional", (1,), {"right": 3}),
    ("Changing", (4,), {}),
    ("Empty", (), {}),
    ("Spoken", (), {"word": "w"}),
    # and what is refused
    ("Frozen", (), {}),
    ("Frozen", ("a",), {}),
    ("Frozen", (), {"name": "a", "other": 1}),
    ("Positional", (1, 2, 3), {}),
    ("Positional", (1,), {"left": 1}),
    ("Changing", (4,), {"last": 5}),
]


def outcome(action: Callable[[], Any]) -> object:
    """What it returns, or what it raises with its text."""
    try:
        return action()
    except Exception as error:
        return type(error), str(error).replace("make_classes.<locals>.", "")


@pytest.mark.parametrize(("name", "positions", "given"), OBJECTS)
def test_objects_are_made_or_refused_as_by_the_standard_library(
    name: str, positions: tuple[Any, ...], given: dict[str, Any]
) -> None:
    for _ in range(MANY):
        ours = outcome(lambda: repr(OURS[name](*positions, **given)))
        theirs = outcome(lambda: repr(THEIRS[name](*positions, **given)))
        assert ours == theirs


@pytest.mark.parametrize("times", [0, MANY])
def test_fields_are_set_before_and_after_init_is_compiled(times: int) -> None:
    made = make_classes(values.dataclass)["Frozen"]
    for _ in range(times):
        made(name="b")
    one, other = made(name="a", size=4), made(name="a", size=4)
    assert (one.name, one.size, one.parts, one.note) == ("a", 4, {}, "")
    assert one.parts is not other.parts


def test_equality_and_hashes_are_those_of_the_compared_fields() -> None:
    made = OURS["Frozen"]
    assert made(name="a", note="x") == made(name="a", note="y") != made(name="b")
    assert made(name="a") != THEIRS["Frozen"](name="a")
    assert made(name="a") != OURS["Child"](name="a")
    assert hash(OURS["Positional"](1)) == hash(THEIRS["Positional"](1))
    assert {OURS["Spoken"](word="a"), OURS["Spoken"](word="a")} == {OURS["Spoken"](word="a")}
    with pytest.raises(TypeError, match="unhashable"):
        hash(OURS["Changing"](1))


def test_a_frozen_object_cannot_be_changed() -> None:
    one = OURS["Child"](name="a")
    for change in (
        lambda: setattr(one, "name", "b"),
        lambda: setattr(one, "unknown", 1),
        lambda: delattr(one, "name"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    changing = OURS["Changing"](1)
    changing.total = 2
    assert changing.total == 2
    with pytest.raises(AttributeError):
        changing.unknown = 1


def test_the_standard_librarys_functions_know_the_classes() -> None:
    one = OURS["Child"](name="a", parts={"x": 1})
    assert dataclasses.replace(one, size=9) == OURS["Child"](name="a", size=9, parts={"x": 1})
    assert dataclasses.asdict(one) == dataclasses.asdict(THEIRS["Child"](name="a", parts={"x": 1}))
    assert copy.deepcopy(one) == one
    match OURS["Positional"](1, 2):
        case values_of if hasattr(values_of, "__match_args__"):
            assert values_of.__match_args__ == ("left", "right")


def test_the_standard_library_makes_subclasses_of_them() -> None:
    """A frozen one of a frozen class, and no other."""

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Further(Kept):
        more: int = 2

    assert repr(Further(name="a")).endswith("Further(name='a', more=2)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Further(name="a").name = "b"  # type: ignore[misc]  # that is refused
    with pytest.raises(TypeError, match="cannot inherit non-frozen dataclass from a frozen one"):
        dataclasses.dataclass(type("Changing", (Kept,), {}))


@values.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """At the top of a module, as pickle needs it."""

    name: str


def test_objects_can_be_pickled() -> None:
    kept = Kept(name="a")
    assert pickle.loads(pickle.dumps(kept)) == kept  # noqa: S301  # made above


def test_a_class_without_slots_is_refused() -> None:
    with pytest.raises(TypeError, match="slots=True"):
        values.dataclass(frozen=True)(Kept)


def test_importing_the_modules_of_a_run_compiles_next_to_nothing() -> None:
    """Six methods a class, as the standard library does it, would be more than a thousand."""
    code = (
        "import builtins, sys; compiled = []; plain = builtins.exec\n"
        "def count(text, *scope):\n"
        "    compiled.append(isinstance(text, str)); return plain(text, *scope)\n"
        "builtins.exec = count\n"
        "import orchestrator.cli.run, orchestrator.backends.bcc.attach.attaching\n"
        "print(sum(compiled))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100
