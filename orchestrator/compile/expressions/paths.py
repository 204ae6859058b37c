"""`path(x)`: from a struct file, path or dentry to the names up to its root.

A dentry has its name and its parent; at the root of a mount the path continues at the mount's
mount point (include/linux/dcache.h; fs/mount.h; fs/d_path.c, prepend_path).
"""

from typing import Literal

from orchestrator.compile.expressions.members import read_member, require_btf
from orchestrator.compile.expressions.nodes import Node, PathOffsets, PathTest, ReadPath
from orchestrator.compile.expressions.types import KernelPath, Pointer
from orchestrator.kernel.btf import Btf
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Position, plan_error


def make_path_node(facts: KernelFacts, pointer: Node, size: int, position: Position) -> ReadPath:
    """The node for `path(pointer)`, of at most `size` bytes of names. Raises PlanError."""
    btf = require_btf(facts, position, "path() needs type information")
    kind = pointer.type
    assert isinstance(kind, Pointer)
    name = btf.type(kind.target).name if kind.target else ""
    if kind.space != "kernel" or name not in ("file", "path", "dentry"):
        raise plan_error(
            "PP084",
            "path() needs a pointer to a struct file, path or dentry",
            position,
            'name its type: cast(p, "struct file"); a path that a program passes is str(p)',
        )
    if name == "dentry":
        return ReadPath(pointer, None, _find_offsets(btf, position), KernelPath(size))
    way = read_member(facts, pointer, "f_path", position) if name == "file" else pointer
    dentry, mount = (read_member(facts, way, part, position) for part in ("dentry", "mnt"))
    if btf.struct("mount") is None:
        return ReadPath(dentry, None, _find_offsets(btf, position), KernelPath(size))
    return ReadPath(dentry, mount, _find_offsets(btf, position), KernelPath(size))


PathOperation = Literal["equal", "under", "suffix"]
#: Names of a path that a test can have: each is compared in the kernel.
_MOST_NAMES = 16


def test_path(op: PathOperation, path: ReadPath, text: bytes, position: Position) -> PathTest:
    """A test of a path against constant text. Raises PlanError for what no path can be."""
    names = text.split(b"/")
    if op != "suffix" and (not text.startswith(b"/") or text != _normalize(text)):
        hint = "a path as path() shows it: from the root, without a slash at its end, `.` and `..`"
        raise plan_error("PP086", f"no path is {_show(text)}", position, hint)
    if op == "suffix" and (not text or b"" in names[1:]):
        hint = 'endswith(path(f), ".conf"), endswith(path(f), "/passwd")'
        raise plan_error("PP086", f"no path ends with {_show(text)}", position, hint)
    if len(names) > _MOST_NAMES or max(map(len, names)) > _LONGEST_NAME:
        hint = f"at most {_MOST_NAMES} names of at most {_LONGEST_NAME} bytes"
        raise plan_error("PP086", f"{_show(text)} is too long to be compared", position, hint)
    return PathTest(op, path, text)


_LONGEST_NAME = 128


def _normalize(text: bytes) -> bytes:
    kept = (name for name in text.split(b"/") if name not in (b"", b".", b".."))
    return b"/" + b"/".join(kept)


def _show(text: bytes) -> str:
    return repr(text[:60].decode(errors="replace"))


def _find_offsets(btf: Btf, position: Position) -> PathOffsets:
    def at(struct: str, name: str) -> int:
        owner = btf.struct(struct)
        member = btf.member(owner, name) if owner is not None else None
        if member is None:
            raise plan_error("PP082", f"struct {struct} has no member {name!r} here", position)
        return member.bit_offset // 8

    dentry = {
        "parent": at("dentry", "d_parent"),
        "name": at("dentry", "d_name") + at("qstr", "name"),
        "length": at("dentry", "d_name") + at("qstr", "len"),
    }
    if btf.struct("mount") is None:
        return PathOffsets(**dentry)
    return PathOffsets(
        **dentry,
        vfsmount=at("mount", "mnt"),
        root=at("vfsmount", "mnt_root"),
        mountpoint=at("mount", "mnt_mountpoint"),
        around=at("mount", "mnt_parent"),
    )
