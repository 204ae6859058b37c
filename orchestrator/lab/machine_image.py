"""The files of a deterministic machine, all of them in its first file system.

A machine whose files come from the host while it runs is not reproducible: the host answers in its
own time (measured: 0.01-0.7 % over boots, against none).
"""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.lab.errors import LabError
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.image.programs import add_program
from orchestrator.lab.image.python_files import (
    GUEST_PACKAGES,
    GUEST_PYTHON,
    add_packages,
    add_python,
)
from orchestrator.lab.initramfs import static_busybox
from orchestrator.lab.modules import load_order
from orchestrator.values import dataclass

__all__ = ["DISK_FOLDER", "RamDisk", "add_disk", "make_machine_tree"]

#: Where the disk is mounted.
DISK_FOLDER = "/data"
_INIT = Path(__file__).with_name("machine_init.sh")
_APPLETS = ("sh", "mount", "mkdir", "insmod", "ip", "poweroff", "chmod")
_FOLDERS = ("/dev", "/proc", "/sys", "/root", "/run", "/etc", "/var/log", "/probeplan/modules")
_SHARED_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108  (of the machine)
_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": GUEST_PACKAGES,
    "PROBEPLAN_CACHE": "off",  # prices would be measured in each boot
}
_MKFS = Path("/sbin/mke2fs")
_MKFS_OPTIONS = (
    "-q -F -t ext4 -T probeplan -b 4096 -I 256 -m 0 -U 00000000-0000-4000-8000-000000000001"
)
_MKFS_EXTENDED = (
    "hash_seed=00000000-0000-4000-8000-000000000002,lazy_itable_init=0,lazy_journal_init=0"
)
_MKFS_CONFIG = """\
[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
[fs_types]
ext4 = {
features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
}
probeplan = {
inode_ratio = 16384
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RamDisk:
    """An ext4 file system on a disk in the machine's memory; `size` in bytes."""

    size: int


def make_machine_tree(program: Sequence[str], packages: Iterable[str]) -> FileTree:
    """What every machine has: busybox, our init, a Python with these packages. `program`: the
    arguments of that Python. Raises LabError for what is missing on this host."""
    tree = FileTree()
    for folder in _FOLDERS:
        tree.make_folder(folder)
    for folder in _SHARED_FOLDERS:
        tree.make_folder(folder, sticky=True)
    tree.make_file("/init", _INIT.read_bytes(), executable=True)
    tree.make_file("/probeplan/bin/busybox", static_busybox().read_bytes(), executable=True)
    for name in _APPLETS:
        tree.make_link(f"/probeplan/bin/{name}", "busybox")
    tree.make_file("/probeplan/modules/list", b"")
    tree.make_file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    tree.make_file("/etc/group", b"root:x:0:\n")
    add_python(tree)
    add_packages(tree, packages)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in _ENVIRONMENT.items()]
    command = shlex.join([GUEST_PYTHON, "-S", "-s", "-P", "-B", *program])
    script = "\n".join([*exports, "unset PATH", f"exec {command}", ""])
    tree.make_file("/probeplan/program", script.encode())
    return tree


def add_disk(tree: FileTree, disk: RamDisk, modules: Path) -> None:
    """Add what makes a disk: the modules, from the folder of a kernel, and mke2fs. Raises LabError
    where one is missing."""
    if not _MKFS.exists():
        raise LabError(f"{_MKFS} is not installed: a disk needs the package e2fsprogs")
    parameters = {"brd": f"rd_nr=1 rd_size={disk.size // 1024}"}
    lines = []
    for number, (name, image) in enumerate(load_order(modules, ("brd", "ext4"))):
        path = f"/probeplan/modules/{number:03}-{name}.ko"
        tree.make_file(path, image)
        lines.append(f"{path} {parameters.get(name, '')}\n")
    tree.make_file("/probeplan/modules/list", "".join(lines).encode())
    add_program(tree, _MKFS, "")
    tree.make_file("/probeplan/mke2fs.conf", _MKFS_CONFIG.encode())
    tree.make_folder(DISK_FOLDER)
    script = (
        "export MKE2FS_CONFIG=/probeplan/mke2fs.conf\n"
        f"{_MKFS} {_MKFS_OPTIONS} -E {_MKFS_EXTENDED} /dev/ram0 || exit 1\n"
        f"mount -t ext4 /dev/ram0 {DISK_FOLDER} && chmod 1777 {DISK_FOLDER}\n"
    )
    tree.make_file("/probeplan/disk", script.encode())
