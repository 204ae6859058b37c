"""Kernel modules as files: found by name, unpacked, ordered by what they depend on.

Dependencies are read from each module's own `.modinfo` section (include/linux/moduleinfo.h,
`depends=` and `softdep=`), so neither depmod nor an index made by it is needed.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from orchestrator.lab.errors import LabError
from orchestrator.lab.vmlinux import decompress


def module_name(path: str | Path) -> str:
    """`kernel/fs/9p/9p.ko.xz` → `9p`; dashes become underscores, as the kernel names them."""
    return _plain(Path(path).name.split(".ko", 1)[0])


def builtin_names(modules_builtin: str) -> frozenset[str]:
    """The names in the text of `modules.builtin`: what needs no loading in this kernel."""
    return frozenset(module_name(line) for line in modules_builtin.split())


def depends(image: bytes) -> tuple[str, ...]:
    """The modules that this unpacked module needs directly, by the kernel's names."""
    return tuple(_plain(name) for value in _modinfo(image, b"depends") for name in value.split(","))


def wishes(image: bytes) -> tuple[str, ...]:
    """The modules that this one wants loaded before it if they exist (`softdep=pre: …`).

    Checksums are wanted by an alias, `crypto-NAME`, which NAME_generic always has
    (crypto/*_generic.c, MODULE_ALIAS_CRYPTO). Without crc32c, ext4 cannot mount: it would call
    modprobe, which a guest does not have.
    """
    values = _modinfo(image, b"softdep")
    before = [value.split("post:")[0].removeprefix("pre:").split() for value in values]
    names = [_plain(name) for part in before for name in part]
    return tuple(re.sub(r"^crypto_(\w+)$", r"\1_generic", name) for name in names)


def _modinfo(image: bytes, key: bytes) -> list[str]:
    """The values of one key: `.modinfo` is a row of NUL-terminated KEY=VALUE strings."""
    return [found.decode() for found in re.findall(rb"\0" + key + rb"=([^\0]+)(?=\0)", image)]


def _plain(name: str) -> str:
    return name.replace("-", "_")


def load_order(directory: Path, wanted: Iterable[str]) -> list[tuple[str, bytes]]:
    """(name, unpacked image) of `wanted` and all that they need, each after its dependencies.

    `directory` holds one kernel's modules (…/kernel/**/*.ko[.xz|.zst|.gz]) and its
    modules.builtin. Built-in modules are omitted. Raises LabError naming a module that this
    kernel does not have.
    """
    files = {module_name(path): path for path in directory.glob("kernel/**/*.ko*")}
    builtin = builtin_names((directory / "modules.builtin").read_text())
    images: dict[str, bytes] = {}
    ordered: list[tuple[str, bytes]] = []

    def visit(name: str) -> None:
        if name in builtin or name in images:
            return
        if name not in files:
            raise LabError(f"module `{name}` is neither in {directory} nor built into the kernel")
        images[name] = decompress(files[name].read_bytes())
        for wished in wishes(images[name]):
            if wished in files:
                visit(wished)
        for needed in depends(images[name]):
            visit(needed)
        ordered.append((name, images[name]))

    for name in wanted:
        visit(_plain(name))
    return ordered
