"""Which file has the debug information of a program."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.binaries.debug_info import files
from orchestrator.binaries.debug_info.files import find_debug_info
from orchestrator.binaries.elf import build_id
from tests.support.binaries import compile_to
from tests.support.described import SOURCE, arguments, build, split


def test_separate_files_are_found_by_build_id_and_by_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another build, which has another checksum, is not taken."""
    program = build(tmp_path, "-Wl,--build-id")
    link = tmp_path / "program.debug"
    split(program, link)
    assert [name for name, *_ in arguments(program, "take")] == ["bag", "n", "c"]
    link.write_bytes(link.read_bytes() + b"\0")
    assert find_debug_info(program) is None
    number = build_id(program)
    assert number
    kept = tmp_path / "root" / ".build-id" / number[:2] / f"{number[2:]}.debug"
    kept.parent.mkdir(parents=True)
    shutil.move(link, kept)
    monkeypatch.setattr(files, "_ROOT", tmp_path / "root")
    assert [name for name, *_ in arguments(program, "take")] == ["bag", "n", "c"]


def test_a_file_that_shares_its_types_with_others_is_not_read(tmp_path: Path) -> None:
    program = build(tmp_path)
    (tmp_path / "alt").write_bytes(b"x.debug\0" + bytes(20))
    command = ["objcopy", "--add-section", f".gnu_debugaltlink={tmp_path / 'alt'}", program]
    subprocess.run(command, check=True)
    assert find_debug_info(program) is None


def test_a_link_to_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    program = build(tmp_path)
    link = tmp_path / "program.debug"
    split(program, link)
    link.unlink()
    os.mkfifo(link)
    assert find_debug_info(program) is None


def test_sections_that_unpack_to_too_much_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what they say of their unpacked size, before any is unpacked."""
    program = build(tmp_path)
    text = tmp_path / "text"
    text.write_bytes(bytes(1 << 20))
    pack = "--compress-debug-sections=zlib"
    subprocess.run(["objcopy", "--add-section", f".debug_padding={text}", program], check=True)
    subprocess.run(["objcopy", pack, program], check=True)
    assert program.stat().st_size < 1 << 16
    monkeypatch.setattr(files, "_MOST_BYTES", 1 << 20)
    assert find_debug_info(program) is None
    monkeypatch.setattr(files, "_MOST_BYTES", 1 << 21)
    assert [name for name, *_ in arguments(program, "take")] == ["bag", "n", "c"]


def test_a_table_that_would_take_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = build(tmp_path)
    assert find_debug_info(program) is not None
    monkeypatch.setattr(files, "_MOST_ABBREVIATIONS", 16)
    assert find_debug_info(program) is None


def test_a_program_without_debug_information_has_none(tmp_path: Path) -> None:
    source = tmp_path / "source.c"
    source.write_text(SOURCE)
    assert find_debug_info(compile_to(tmp_path / "bare", source)) is None
