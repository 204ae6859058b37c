"""`path(x)`: from a struct file, path or dentry to the names up to its root.

A dentry has its name and its parent; at the root of a mount the path continues at the mount's
mount point (include/linux/dcache.h; fs/mount.h; fs/d_path.c, prepend_path).
"""

from orchestrator.compile.expressions.members import read_member, require_btf
from orchestrator.compile.expressions.nodes import Node, PathOffsets, ReadPath
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
