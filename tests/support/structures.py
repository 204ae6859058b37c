"""Random structures of C, as gcc lays them out and reads them, and as plans name them."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from orchestrator.values import dataclass
from tests.support.binaries import compile_to

__all__ = ["Compiled", "Member", "compile_structure", "structures"]

#: Types of C by the names that plans have for them.
_NUMBERS = {
    "u8": "unsigned char", "s8": "signed char", "u16": "unsigned short", "s16": "short",
    "u32": "unsigned int", "s32": "int", "u64": "unsigned long", "s64": "long", "bool": "_Bool",
}  # fmt: skip
SIZE = 4096  # bytes of the memory that structures are read from; more than any has


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member: its name, its type in a plan, how many bits it has (0: it is no bit-field), and the
    lengths of its array, from the outside. `inner`: it is a structure of these members."""

    name: str
    kind: str = ""
    bits: int = 0
    counts: tuple[int, ...] = ()
    inner: tuple["Member", ...] = ()


_counts = st.lists(st.integers(1, 3), max_size=2).map(tuple)
_numbers = st.builds(
    lambda kind, counts: Member(name="", kind=kind, counts=counts),
    st.sampled_from(list(_NUMBERS)),
    _counts,
)
_bits = st.builds(
    lambda kind, bits: Member(name="", kind=kind, bits=bits),
    st.sampled_from(["u8", "s8", "u16", "s16", "u32", "s32"]),
    st.integers(1, 8),
)


def _name(members: list[Member], prefix: str) -> tuple[Member, ...]:
    return tuple(
        Member(name=f"{prefix}{index}", kind=m.kind, bits=m.bits, counts=m.counts, inner=m.inner)
        for index, m in enumerate(members)
    )


def _in_structure(inner: st.SearchStrategy[Member]) -> st.SearchStrategy[Member]:
    return st.builds(
        lambda members, counts: Member(name="", counts=counts, inner=_name(members, "n")),
        st.lists(inner, min_size=1, max_size=4),
        _counts,
    )


def structures(*, with_bits: bool) -> st.SearchStrategy[tuple[Member, ...]]:
    """Members of structures; bit-fields among them, or none, which plans cannot declare."""
    leaves = _numbers | _bits if with_bits else _numbers
    members = st.lists(st.recursive(leaves, _in_structure, max_leaves=4), min_size=1, max_size=6)
    return members.map(lambda made: _name(made, "m"))


def _spell_c(members: tuple[Member, ...]) -> str:
    return " ".join(_spell_member(member) for member in members)


def _spell_member(member: Member) -> str:
    kind = f"struct {{ {_spell_c(member.inner)} }}" if member.inner else _NUMBERS[member.kind]
    counts = "".join(f"[{count}]" for count in member.counts)
    return f"{kind} {member.name}{counts}{f' : {member.bits}' if member.bits else ''};"


def _walk(members: tuple[Member, ...], path: str = "") -> Iterator[tuple[str, Member]]:
    """The numbers in a structure: how C and plans name them, by the last element of arrays."""
    for member in members:
        indexes = "".join(f"[{count - 1}]" for count in member.counts)
        name = f"{path}{member.name}{indexes}"
        if member.inner:
            yield from _walk(member.inner, f"{name}.")
        else:
            yield name, member


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A structure `made` as gcc has it: the library whose function `look` takes a pointer to one,
    its size, and by name what each of its numbers is in `memory`, as 64 bits; where a member
    starts, in bytes, for the outermost ones."""

    library: Path
    size: int
    values: dict[str, int]
    offsets: dict[str, int]


def compile_structure(members: tuple[Member, ...], memory: bytes, folder: Path) -> Compiled:
    """Let gcc lay it out and read it."""
    names = [name for name, _ in _walk(members)]
    outer = [member.name for member in members if not member.bits]
    reads = "".join(f" *out++ = (unsigned long)(made->{name});" for name in names)
    places = "".join(f" *out++ = __builtin_offsetof(struct made, {name});" for name in outer)
    source = folder / "made.c"
    source.write_text(
        f"struct made {{ {_spell_c(members)} }};\n"
        f"void look(const struct made *made, unsigned long *out)\n{{{reads}{places}"
        " *out = sizeof *made; }\n"
    )
    library = folder / f"made-{source.stat().st_mtime_ns}.so"
    compile_to(library, source, flags=("-g", "-O1", "-shared", "-fPIC"))
    out = (ctypes.c_uint64 * (len(names) + len(outer) + 1))()
    ctypes.CDLL(str(library)).look(ctypes.c_char_p(memory), out)
    found = list(out)
    return Compiled(
        library=library,
        size=found[-1],
        values=dict(zip(names, found, strict=False)),
        offsets=dict(zip(outer, found[len(names) :], strict=False)),
    )
