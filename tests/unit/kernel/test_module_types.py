"""The types of modules, by ids that are apart from each other's."""

import pytest

from orchestrator.compile.expressions.nodes import Load, ReadString, walk
from orchestrator.compile.expressions.types import Pointer
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.btf_blobs import FUNC, INT, PTR, TYPEDEF, Blob
from tests.support.recorded import HEAD
from tests.support.trees import KALLSYMS, TRACING
from tests.support.trees import facts as made_up

_BTF = "sys/kernel/btf"


def kernel_types() -> Blob:
    """An int, struct file with a position, a pointer to it, and vfs_read(file)."""
    blob = Blob()
    number = blob.add(INT, "int", 4, 1 << 24 | 32)
    file = blob.struct_("file", 16, ("f_pos", number, 64))
    pointer = blob.add(PTR, "", file)
    blob.add(FUNC, "vfs_read", blob.proto(number, ("file", pointer)))
    return blob


def module_types(base: Blob, function: str, struct: str, offset: int) -> Blob:
    """A structure with a number and a pointer to struct file, and a function that takes it."""
    blob = Blob(base)
    inner = blob.struct_(struct, 32, ("size", 1, offset), ("file", 3, offset + 64))
    pointer = blob.add(PTR, "", inner)
    blob.add(FUNC, function, blob.proto(pointer, ("inode", pointer), ("count", 1)))
    proto = blob.proto(0, ("", 0), ("inode", pointer))
    blob.add(TYPEDEF, f"btf_trace_{function}_done", blob.add(PTR, "", proto))
    named = blob.proto(1, ("__data", 0), ("inode", pointer))
    blob.add(FUNC, f"__traceiter_{function}_done", named)
    return blob


@pytest.fixture
def facts() -> KernelFacts:
    """A kernel with two modules, whose own ids are the same."""
    base = kernel_types()
    symbols = KALLSYMS + b"ffffffffc0002000 t xfs_sync\t[xfs]\n"
    listed = b"vfs_read\next4_sync_file [ext4]\nxfs_sync [xfs]\n"
    return made_up(
        {
            "proc/kallsyms": symbols,
            f"{TRACING}/available_filter_functions": listed,
            f"{_BTF}/vmlinux": base.bytes(),
            f"{_BTF}/ext4": module_types(base, "ext4_sync_file", "ext4_inode", 32).bytes(),
            f"{_BTF}/xfs": module_types(base, "xfs_sync", "xfs_inode", 64).bytes(),
        }
    )


def compiled(facts: KernelFacts, attach: str, expression: str) -> Program:
    plan = f"{HEAD}probes: {{p: {{attach: '{attach}', emit: {{x: {expression!r}}}}}}}\n"
    return compile_plan(load_plan(plan.encode()), facts)


def test_signatures_of_modules_have_ids_apart(facts: KernelFacts) -> None:
    """The ids of attaching are the module's own."""
    btf = facts.btf
    assert btf is not None
    ext4, xfs = btf.function("ext4_sync_file", "ext4"), btf.function("xfs_sync", "xfs")
    assert ext4 is not None
    assert xfs is not None
    assert (ext4.module, xfs.module) == ("ext4", "xfs")
    assert ext4.btf_id == xfs.btf_id
    structs = [btf.type(btf.type(f.params[0].type_id).target) for f in (ext4, xfs)]
    assert [struct.name for struct in structs] == ["ext4_inode", "xfs_inode"]
    assert len({struct.id for struct in structs}) == 2
    assert [f.params[1].type_id for f in (ext4, xfs)] == [1, 1]
    assert btf.type_name(ext4.params[0].type_id) == "struct ext4_inode *"


def test_members_of_modules_lead_to_the_kernels_types(facts: KernelFacts) -> None:
    """Through a pointer to struct file, which both modules share with the kernel."""
    btf = facts.btf
    assert btf is not None
    for name, offset in (("ext4_inode", 32), ("xfs_inode", 64)):
        struct = btf.struct(name)
        assert struct is not None
        assert btf.member_names(struct) == ("size", "file")
        size, file = btf.member(struct, "size"), btf.member(struct, "file")
        assert size is not None
        assert file is not None
        assert size.bit_offset == offset
        assert btf.type(file.type_id).target == btf.struct("file")
        assert btf.member(struct, "none") is None
    assert btf.struct("btrfs_inode") is None


@pytest.mark.parametrize(
    ("attach", "expression", "offsets"),
    [
        ("function:ext4_sync_file", "entry(args.inode.size)", [4]),
        ("entry:xfs_sync", "args.inode.size", [8]),
        ("entry:xfs_sync", "args.inode.file.f_pos", [8, 16]),
        ("kretprobe:ext4_sync_file", "retval.size", [4]),
        ("rawtracepoint:xfs_sync_done", "args.inode.size", [8]),
        ("entry:vfs_read", 'cast(args.file, "struct xfs_inode").size', [8]),
        ("entry:vfs_read", 'cast(args.file, "struct ext4_inode").file.f_pos', [8, 12]),
    ],
)
def test_expressions_read_by_the_types_of_the_module(
    facts: KernelFacts, attach: str, expression: str, offsets: list[int]
) -> None:
    """Arguments, return values, raw tracepoints and casts; offsets in bytes."""
    (hook,) = compiled(facts, attach, expression).hooks
    (node,) = hook.body.emit
    if hook.body.entry is not None and hook.body.entry.captures:
        (node,) = hook.body.entry.captures
    found = [part.offset for part in walk(node) if isinstance(part, Load)]
    assert sorted(found) == offsets


def test_a_hook_knows_the_module_that_its_id_is_of(facts: KernelFacts) -> None:
    """Attaching a trampoline takes both."""
    ours = compiled(facts, "entry:xfs_sync", "args.count").hooks[0]
    kernels = compiled(facts, "entry:vfs_read", "args.file").hooks[0]
    assert (ours.module, kernels.module) == ("xfs", "")
    assert ours.btf_id > 0


def test_an_unknown_member_of_a_module_names_those_that_it_has(facts: KernelFacts) -> None:
    with pytest.raises((PlanError, HostError), match=r"ext4_inode has no member 'sise'.*\n.*size"):
        compiled(facts, "entry:ext4_sync_file", "args.inode.sise")


def test_a_raw_tracepoint_of_a_module_that_is_not_loaded_names_it(facts: KernelFacts) -> None:
    with pytest.raises(HostError, match="modprobe nfs"):
        compiled(facts, "rawtracepoint:nfs_initiate_commit", "1")


def test_text_behind_a_modules_pointer_is_kernel_memory(facts: KernelFacts) -> None:
    (hook,) = compiled(facts, "entry:xfs_sync", "str(args.inode)").hooks
    (read,) = (part for part in walk(hook.body.emit[0]) if isinstance(part, ReadString))
    assert isinstance(read.pointer.type, Pointer)
    assert read.pointer.type.space == "kernel"
