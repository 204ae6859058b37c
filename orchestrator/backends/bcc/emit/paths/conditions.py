"""Conditions on paths: names compared with constant text while the path is walked, the last first.

Most paths differ in their last name, whose length is compared before a byte of it is read. The walk
is that of path(): from a dentry to its parent, and at the root of a mount to where it is mounted.
"""

from collections.abc import Callable, Iterator, Sequence

from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.compile.expressions.nodes import Node, PathOffsets, PathTest

__all__ = ["path_offsets", "test_path"]

_STEPS = 48  # names and mounts; what is further from the root is null
_MOUNTS = 8  # mounts that the names of a text may be in, each mounted at the root of another one
_WORD = 8


def path_offsets(offsets: PathOffsets, numbers: OpenNumbers, *, mounted: bool) -> str:
    """The initializer of a struct pp_path_offsets; of a path without a mount only the members of
    dentries are used."""
    names = [("dentry.d_parent", offsets.parent), ("dentry.d_name.name", offsets.name)]
    names += [("dentry.d_name.len", offsets.length)]
    if mounted:
        names += [("mount.mnt", offsets.vfsmount), ("vfsmount.mnt_root", offsets.root)]
        names += [("mount.mnt_mountpoint", offsets.mountpoint)]
        names += [("mount.mnt_parent", offsets.around)]
    values = [numbers.offset(name, offset) for name, offset in names]
    return f"{{{', '.join(values + ['0'] * (7 - len(values)))}}}"


def test_path(node: PathTest, number: Callable[[Node], str], numbers: OpenNumbers) -> str:
    """A C expression, 0 or 1, which sets `fault` where the path cannot be read to its root."""
    path, mounted = node.path, node.path.mount is not None
    mount = "0" if path.mount is None else number(path.mount)
    at = path_offsets(path.offsets, numbers, mounted=mounted)
    tests = {"under": _under, "equal": _equal, "suffix": _suffix}[node.op](node.text)
    steps = _STEPS if node.op == "under" else node.text.count(b"/") + 1 + _MOUNTS
    return (
        f"({{ const struct pp_path_offsets at = {at}; "
        f"struct pp_walk walk; u64 was = 1, now = 0, count = 0, holds = 0; u32 step = 0; "
        f"pp_walk_begin(&walk, {number(path.dentry)}, {int(mounted)}, {mount}, &at); "
        f'_Pragma("clang loop unroll(disable)") do {{ '
        f"PP_FORGET(walk.state, walk.any); PP_FORGET(was, walk.any); PP_FORGET(count, walk.any); "
        f"pp_walk_step(&walk, {int(mounted)}, &at); {tests} PP_OPAQUE(walk.state); "
        f"}} while (!(walk.state & (PP_FAULT | PP_DONE)) && ++step < {steps}); "
        f"u64 lost = (walk.state & PP_FAULT) | ((walk.state & PP_DONE) ^ PP_DONE); "
        f"PP_FORGET(lost, walk.any); PP_FORGET(holds, walk.any); fault |= lost != 0; holds; }})"
    )


def _under(text: bytes) -> str:
    """Bit n of `was`: the last n names are those that lead to the folder, from its own to the first
    one below the root."""
    names = _names_of(text)
    steps = "".join(
        f"if (was >> {at} & 1 && {_compare_name(name)}) now |= {2 << at}; "
        for at, name in enumerate(reversed(names))
    )
    return (
        f"if (walk.state & PP_NAME) {{ now = 1; {steps}was = now; }} "
        f"if (walk.state & PP_ROOTED) holds = was >> {len(names)} & 1;"
    )


def _equal(text: bytes) -> str:
    names = _names_of(text)
    return (
        f"if (walk.state & PP_NAME) {{ {_follow(map(_compare_name, reversed(names)))} "
        f"if (!now) walk.state |= PP_DONE; count++; }} "
        f"if (walk.state & PP_ROOTED) holds = count == {len(names)};"
    )


def _suffix(text: bytes) -> str:
    """The pieces after the first slash are whole names, and the one before it is the end of one."""
    first, *others = text.split(b"/")
    tests = [*map(_compare_name, reversed(others)), *([_compare_end(first)] if first else [])]
    is_whole = "!(walk.state & PP_DETACHED)" if not first else "1"
    return (
        f"if (walk.state & PP_NAME) {{ {_follow(tests)} count++; "
        f"if (now && count == {len(tests)}) holds = {is_whole}; "
        f"if (!now || count == {len(tests)}) walk.state |= PP_DONE; }}"
    )


def _names_of(text: bytes) -> Sequence[bytes]:
    return [name for name in text.split(b"/") if name]


def _follow(tests: Iterator[str] | Sequence[str]) -> str:
    """`now`: whether the name fits its place, counted from the end."""
    chain = "".join(f"if (count == {at}) now = {test}; else " for at, test in enumerate(tests))
    return f"{chain}now = 0;"


def _compare_name(name: bytes) -> str:
    return f"(walk.length == {len(name)} && {_compare_bytes('walk.name', name)})"


def _compare_end(name: bytes) -> str:
    start = f"walk.name + walk.length - {len(name)}"
    return f"(walk.length >= {len(name)} && {_compare_bytes(start, name)})"


def _compare_bytes(start: str, name: bytes) -> str:
    words = [name[at : at + _WORD] for at in range(0, len(name), _WORD)]
    tests = (f"w[{at}] == {int.from_bytes(part, 'little'):#x}ULL" for at, part in enumerate(words))
    return (
        f"({{ u64 w[{len(words)}] = {{}}; if (pp_read(0, w, {len(name)}, {start})) "
        f"walk.state |= PP_FAULT; {' && '.join(tests)}; }})"
    )
