"""The programs of guests of another architecture: how packages are unpacked, what is refused."""

import subprocess
from pathlib import Path

import pytest

from orchestrator.lab import LabError, guest
from orchestrator.lab.guest import find_in_guest, find_python
from orchestrator.lab.image import userland
from orchestrator.lab.kernels import Kernel

FOREIGN = Kernel(name="x", release="x", directory=Path("/x"), arch="riscv64")


def build_package(folder: Path) -> Path:
    """A package with files in /bin and /usr/bin, and documentation."""
    tree = folder / "tree"
    for name in ("bin/one", "usr/bin/two", "usr/share/doc/pack/changelog"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "DEBIAN").mkdir()
    fields = {"Package": "pack", "Version": "1", "Architecture": "all", "Maintainer": "x <x@y>"}
    lines = [f"{name}: {value}\n" for name, value in {**fields, "Description": "x"}.items()]
    (tree / "DEBIAN/control").write_text("".join(lines))
    package = folder / "pack.deb"
    words = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)]
    subprocess.run(words, check=True, capture_output=True)
    return package


def test_a_package_is_unpacked_into_merged_folders_without_documentation(tmp_path: Path) -> None:
    root = tmp_path / "root"
    userland._make_folders(root)
    userland._unpack(build_package(tmp_path), root)
    assert (root / "bin").is_symlink()
    assert (root / "usr/bin/one").read_text() == "bin/one"
    assert (root / "bin/two").read_text() == "usr/bin/two"
    assert not (root / "usr/share/doc").exists()
    assert (root / "host").is_dir()


def test_a_damaged_package_is_named(tmp_path: Path) -> None:
    package = tmp_path / "torn.deb"
    package.write_bytes(build_package(tmp_path).read_bytes()[:200])
    userland._make_folders(tmp_path / "root")
    with pytest.raises(LabError, match=r"cannot unpack torn\.deb"):
        userland._unpack(package, tmp_path / "root")


def test_only_what_a_run_needs_is_required() -> None:
    names = {line.partition(">")[0] for line in userland._list_requirements()}
    assert {"numpy", "orjson", "structlog"} <= names
    assert not names & {"pytest", "ruff", "scipy"}


def test_a_kernel_of_another_architecture_sees_this_host_below_a_folder() -> None:
    assert find_in_guest(FOREIGN, Path("/a/b")) == Path("/host/a/b")
    assert find_python(FOREIGN) == "/usr/bin/python3"


def test_a_cache_whose_path_has_a_blank_cannot_be_named_to_the_kernel() -> None:
    with pytest.raises(LabError, match="PROBEPLAN_CACHE"):
        guest._unspaced(Path("/a b"))
