"""File systems of guests: the same bytes from the same files, read back by cpio itself."""

import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.lab.errors import LabError
from orchestrator.lab.image.archive import ArchiveEntry, make_file, pack_archive
from orchestrator.lab.image.file_tree import FileTree


def unpack(tree: FileTree, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["cpio", "-i", "-m", "--quiet"], input=tree.pack(), cwd=folder, check=True)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a program, a text in a folder, and links."""
    root = tmp_path / "source"
    (root / "inner").mkdir(parents=True)
    (root / "program").write_bytes(b"#!/bin/sh\n")
    (root / "program").chmod(0o700)
    (root / "inner" / "text").write_text("a text")
    (root / "inner" / "link").symlink_to("../program")
    (root / "dangling").symlink_to("nowhere")
    return root


def test_an_image_has_the_files_of_the_host_at_their_paths(source: Path, tmp_path: Path) -> None:
    tree = FileTree()
    tree.add_host_path(source)
    tree.make_file("/made/here", b"\0\1", executable=True)
    root = unpack(tree, tmp_path / "unpacked")
    packed = root / source.relative_to("/")
    assert (packed / "program").read_bytes() == b"#!/bin/sh\n"
    assert (packed / "program").stat().st_mode & 0o777 == 0o755
    assert (packed / "inner/text").stat().st_mode & 0o777 == 0o644
    assert (packed / "inner/text").stat().st_mtime == 0
    assert (packed / "inner/link").readlink() == Path("../program")
    assert (packed / "dangling").readlink() == Path("nowhere")
    assert (root / "made/here").read_bytes() == b"\0\1"


def test_order_and_times_of_files_are_not_in_an_image(source: Path) -> None:
    """Added in any order, at any time."""
    paths = [path for path in sorted(source.rglob("*")) if not path.is_symlink()]
    digests = set()
    for seed in range(4):
        random.Random(seed).shuffle(paths)  # noqa: S311
        tree = FileTree()
        for number, path in enumerate(paths):
            os.utime(path, (seed * 1000 + number, seed * 5))
            tree.add_host_path(path)
        digests.add(tree.digest())
    assert len(digests) == 1


def test_locale_and_hash_seed_are_not_in_an_image(source: Path) -> None:
    for name in ("ä", "z", "A", "\udcff"):
        (source / name).write_text("x")
    code = (
        "import sys; from pathlib import Path\n"
        "from orchestrator.lab.image.file_tree import FileTree\n"
        "tree = FileTree(); tree.add_host_path(Path(sys.argv[1])); print(tree.digest())"
    )
    digests = {
        subprocess.check_output(
            [sys.executable, "-c", code, str(source)],
            env={"LC_ALL": locale, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for locale, seed in (("C", "1"), ("C.UTF-8", "2"))
    }
    assert len(digests) == 1


@pytest.mark.parametrize("change", ["content", "mode", "name", "target"])
def test_another_file_is_another_image(source: Path, change: str) -> None:
    def digest() -> str:
        tree = FileTree()
        tree.add_host_path(source)
        return tree.digest()

    before = digest()
    match change:
        case "content":
            (source / "inner/text").write_text("b text")
        case "mode":
            (source / "inner/text").chmod(0o755)
        case "name":
            (source / "inner/text").rename(source / "inner/test")
        case "target":
            (source / "dangling").unlink()
            (source / "dangling").symlink_to("elsewhere")
    assert digest() != before


def test_names_of_one_file_stay_names_of_one_file(source: Path, tmp_path: Path) -> None:
    (source / "inner/other").hardlink_to(source / "program")
    tree = FileTree()
    tree.add_host_path(source)
    packed = unpack(tree, tmp_path / "unpacked") / source.relative_to("/")
    assert (packed / "inner/other").samefile(packed / "program")
    assert (packed / "program").read_bytes() == b"#!/bin/sh\n"
    assert (packed / "program").stat().st_nlink == 2


def test_a_name_whose_other_name_is_not_packed_has_the_content(
    source: Path, tmp_path: Path
) -> None:
    (source / "inner/other").hardlink_to(source / "program")
    tree = FileTree()
    tree.add_host_path(source / "program")
    packed = unpack(tree, tmp_path / "unpacked") / source.relative_to("/")
    assert (packed / "program").read_bytes() == b"#!/bin/sh\n"
    assert (packed / "program").stat().st_nlink == 1


def test_links_on_the_way_to_a_file_are_packed_with_it(source: Path, tmp_path: Path) -> None:
    """`..` after a link goes up from where the link leads to, as the kernel has it."""
    (tmp_path / "way").symlink_to(source / "inner")
    tree = FileTree()
    tree.add_host_path(tmp_path / "way" / ".." / "program")
    root = unpack(tree, tmp_path / "unpacked")
    inside = tmp_path.relative_to("/")
    assert (root / inside / "way").readlink() == source / "inner"
    assert (root / inside / "source/program").is_file()


def test_what_is_not_kept_is_not_packed(source: Path) -> None:
    tree = FileTree()
    tree.add_host_path(source, keeps=lambda path: path.name != "inner")
    assert str(source / "program") in tree
    assert str(source / "inner/text") not in tree


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"{tmp_path}/gone cannot be packed: No such file"):
        FileTree().add_host_path(tmp_path / "gone")


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(LabError, match="lead in a circle"):
        FileTree().add_host_path(tmp_path / "a")


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(LabError, match="neither a file, a folder nor a link"):
            FileTree().add_host_path(tmp_path)


def test_one_path_cannot_be_two_things(tmp_path: Path) -> None:
    tree = FileTree()
    tree.make_link("/a", "b")
    with pytest.raises(
        LabError, match="/a cannot be packed: it would be a symbolic link and a fol"
    ):
        tree.make_file("/a/c", b"")


def test_a_copy_is_changed_alone() -> None:
    tree = FileTree()
    tree.make_file("/a", b"")
    before = tree.digest()
    tree.copy().make_file("/b", b"")
    assert tree.digest() == before


def test_a_file_beyond_the_format_is_refused() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 32

    with pytest.raises(ValueError, match="/huge has 4,294,967,296 bytes"):
        pack_archive([make_file("huge", Huge())])
    assert pack_archive([ArchiveEntry(name="a", mode=0o100644)]).startswith(b"070701")
