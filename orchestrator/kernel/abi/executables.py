"""A program's file as the kernel names it: what mm_struct.exe_file leads to."""

import os

from orchestrator.values import dataclass

__all__ = ["ExecutableId", "find_executable"]

_MOST_BYTES = 1 << 22  # of /proc/self/mountinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutableId:
    """`device` is super_block.s_dev, `inode` is inode.i_ino."""

    device: int
    inode: int


def find_executable(path: str) -> ExecutableId | None:
    """The file that `path` names, symbolic links followed; None where there is no such file, or its
    mount is not known.

    stat(2) has another device for files of btrfs and of some overlays than the file system itself.
    /proc/self/mountinfo has s_dev (fs/proc_namespace.c, show_mountinfo).
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        inode = os.fstat(handle).st_ino
        device = _find_device(_read_mount(handle))
    finally:
        os.close(handle)
    return None if device is None else ExecutableId(device=device, inode=inode)


def _read_mount(handle: int) -> bytes:
    """The number of the mount that an open file is on; b"" where it is not known."""
    with open(f"/proc/self/fdinfo/{handle}", "rb") as file:  # noqa: PTH123  # start-up
        fields = dict(line.split(b":\t", 1) for line in file.read().splitlines() if b":\t" in line)
    return fields.get(b"mnt_id", b"").strip()


def _find_device(mount: bytes) -> int | None:
    """MKDEV of the kernel (include/linux/kdev_t.h): 20 bits of minor."""
    with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123  # start-up
        for line in file.read(_MOST_BYTES).splitlines():
            words = line.split(b" ", 3)
            if words[0] == mount:
                major, _, minor = words[2].partition(b":")
                return int(major) << 20 | int(minor)
    return None
