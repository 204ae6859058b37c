"""The recorded kernels that are shipped have names."""

import ast
from pathlib import Path

import pytest

from orchestrator.kernel.recorded.profiles import (
    ALL,
    PROFILES,
    expand_names,
    find_recording,
    load_named,
)
from orchestrator.kernel.recording import RecordingError
from tests.support.paths import KERNELS, ROOT

MOST_BYTES = 6_000_000


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_the_recording_that_the_tests_use(name: str) -> None:
    """There is one copy; findings say the profile's name, not where the package keeps it."""
    assert find_recording(name) == KERNELS / PROFILES[name]
    facts = load_named(name)
    assert (facts.source, facts.recorded) == (name, True)
    assert facts.release.startswith(name.removeprefix("debian:").removesuffix("x"))


def test_profiles_are_small() -> None:
    """All together, as they are in the wheel."""
    assert sum(find_recording(name).stat().st_size for name in PROFILES) < MOST_BYTES


def test_what_is_built_has_every_profile() -> None:
    """setup.py and MANIFEST.in cannot import the package, and name the files themselves."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    listed = (ROOT / "MANIFEST.in").read_text()
    versions = {
        element.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Tuple)
        for element in node.elts
        if isinstance(element, ast.Constant)
    }
    for file in PROFILES.values():
        assert file.removesuffix(".facts.xz") in versions
        assert f"kernels/{file}" in listed


def test_all_is_every_profile_once() -> None:
    assert list(expand_names([ALL, "debian:6.1", "x.facts"])) == [*PROFILES, "x.facts"]


@pytest.mark.parametrize("name", ["debian:9", "ubuntu:6.8", "debian:"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(RecordingError, match=r"debian:5\.10, debian:6\.1, debian:6\.12, debian:7"):
        find_recording(name)


def test_a_file_of_such_a_name_is_still_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "host:1").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert find_recording("host:1") == Path("host:1")
