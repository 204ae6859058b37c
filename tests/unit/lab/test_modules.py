"""Which modules are loaded, and in what order, from a folder of made-up ones."""

import lzma
from pathlib import Path

import pytest

from orchestrator.lab.errors import LabError
from orchestrator.lab.modules import depends, load_order, module_name, wishes


def module(depends: str = "", softdep: str = "") -> bytes:
    fields = ["license=GPL", f"depends={depends}", "intree=Y"]
    fields += [f"softdep={softdep}"] if softdep else []
    return b"\x7fELF code \0" + b"".join(f"{field}\0".encode() for field in fields) + b"more"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "fs/9p/9p.ko.xz": lzma.compress(module("9pnet,netfs")),
        "fs/netfs.ko": module(),
        "net/9pnet.ko": module(),
        "net/9pnet_virtio.ko": module("9pnet,virtio"),
        "fs/ext4.ko": module("jbd2", "pre: crypto-crc32c absent post: later"),
        "fs/jbd2.ko": module(),
        "fs/later.ko": module(),
        "crypto/crc32c_generic.ko": module(),
        "fs/broken.ko": module("nowhere"),
    }
    for name, image in files.items():
        place = tmp_path / "kernel" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(image)
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio.ko\n")
    return tmp_path


def names(folder: Path, *wanted: str) -> list[str]:
    return [name for name, _ in load_order(folder, wanted)]


def test_each_module_comes_after_what_it_needs_and_once(folder: Path) -> None:
    assert names(folder, "9pnet_virtio", "9p") == ["9pnet", "9pnet_virtio", "netfs", "9p"]


def test_builtin_module_is_not_loaded(folder: Path) -> None:
    assert names(folder, "virtio") == []


def test_soft_dependency_is_loaded_before_if_there_and_not_the_one_after(folder: Path) -> None:
    assert names(folder, "ext4") == ["crc32c_generic", "jbd2", "ext4"]


def test_images_are_unpacked(folder: Path) -> None:
    assert all(image.startswith(b"\x7fELF") for _, image in load_order(folder, ["9p"]))


@pytest.mark.parametrize(("wanted", "missing"), [("absent", "absent"), ("broken", "nowhere")])
def test_missing_module_is_named(folder: Path, wanted: str, missing: str) -> None:
    with pytest.raises(LabError, match=f"module `{missing}`"):
        load_order(folder, [wanted])


def test_names_are_written_as_the_kernel_writes_them() -> None:
    assert module_name("kernel/crypto/crc32c-intel.ko.xz") == "crc32c_intel"
    assert depends(module("snd-a,b")) == ("snd_a", "b")
    assert wishes(module(softdep="pre: x-y")) == ("x_y",)
    assert depends(module()) == ()
