"""A result that comes along with what a run returns is written whole on the controller, or not."""

import base64
import zlib
from pathlib import Path

import pytest

from tests.support.collection import load_plugin

plugin = load_plugin("action.run")
results = load_plugin("module_utils.results")

CONTENT = b'{"format": "probeplan-result/1"}\n' * 1000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "hosts" / "web-1" / "result.json"


def test_what_a_host_packs_is_what_the_controller_keeps(place: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_bytes(CONTENT)
    packed = results.pack_result(str(tmp_path / "kept.json"))
    plugin._write_result(place, packed)
    assert place.read_bytes() == CONTENT
    assert place.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place.parent.iterdir()] == ["result.json"]


def pack(content: bytes) -> str:
    return base64.b64encode(content).decode()


BAD = {
    "torn": pack(zlib.compress(CONTENT)[:-9]),
    "too large when unpacked": pack(zlib.compress(bytes(plugin._MOST_BYTES + 1))),
    "not packed": pack(CONTENT),
    "not base64": "{}",
}


@pytest.mark.parametrize("packed", BAD.values(), ids=BAD)
def test_what_is_no_packed_result_is_not_written(place: Path, packed: str) -> None:
    with pytest.raises((ValueError, zlib.error)):
        plugin._write_result(place, packed)
    assert not place.exists()


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("")
    place = tmp_path / "hosts" / "result.json"
    with pytest.raises(OSError, match="hosts") as error:
        plugin._write_result(place, pack(zlib.compress(CONTENT)))
    assert plugin._explain(error.value, str(place)) == f"{place}: File exists"
