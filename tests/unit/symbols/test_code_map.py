"""Maps of code that processes made at run time."""

import os
from pathlib import Path

from orchestrator.symbols.code_map import CodeMap, read_code_map

MAP = b"7f0000 10 first\n7f0010 20 second with spaces\nnot a line\nzz 10 bad\n7f0000 8 replaced\n"


def test_an_address_is_resolved_within_its_function() -> None:
    """The later of two at one address counts; what cannot be read is skipped."""
    code = CodeMap(MAP)
    assert code.symbol(0x7F0004) == ("replaced", 4)
    assert code.symbol(0x7F0008) is None
    assert code.symbol(0x7F0018) == ("second with spaces", 8)
    assert code.symbol(0x7EFFFF) is None


def test_a_return_address_belongs_to_the_call_before_it() -> None:
    """The first byte after a function is still the function's."""
    assert CodeMap(MAP).symbol(0x7F0030, back=True) == ("second with spaces", 0x20)
    assert CodeMap(MAP).symbol(0x7F0030) is None


def test_only_a_plain_file_of_the_user_is_accepted(tmp_path: Path) -> None:
    """Anyone could put a link or a pipe into /tmp."""
    folder = tmp_path / "7/root/tmp"
    folder.mkdir(parents=True)
    assert read_code_map(tmp_path, 7, 7) is None
    (folder / "real").write_bytes(MAP)
    (folder / "perf-7.map").symlink_to("real")
    assert read_code_map(tmp_path, 7, 7) is None
    (folder / "perf-7.map").unlink()
    os.mkfifo(folder / "perf-7.map")
    assert read_code_map(tmp_path, 7, 7) is None
    (folder / "perf-7.map").unlink()
    (folder / "real").rename(folder / "perf-7.map")
    assert read_code_map(tmp_path, 7, 7) is not None
