"""The files of plans on a host, and the build id of its kernel."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.kernel.abi.elf_notes import find_build_id
from tests.support.collection import load_plugin

facts = load_plugin("modules.facts")
plan = load_plugin("modules.plan")
plan_files = load_plugin("module_utils.plan_files")


def _note(name: bytes, kind: int, content: bytes) -> bytes:
    head = b"".join(n.to_bytes(4, "little") for n in (len(name) + 1, len(content), kind))
    return head + b"".join(part + bytes(-len(part) % 4) for part in (name + b"\0", content))


notes = st.builds(
    _note,
    st.sampled_from([b"GNU", b"Linux", b"Xen"]),
    st.integers(1, 4),
    st.binary(min_size=1, max_size=40),
)


@given(st.lists(notes, max_size=4).map(b"".join))
def test_the_build_id_is_the_one_that_probeplan_reads(
    tmp_path_factory: Any, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "notes"
    file.write_bytes(content)
    assert facts.read_build_id(str(file)) == find_build_id(content)


def test_without_notes_there_is_no_build_id(tmp_path: Path) -> None:
    assert facts.read_build_id(str(tmp_path / "notes")) is None


def test_a_file_is_replaced_at_once_and_readable_for_everyone(tmp_path: Path) -> None:
    file = tmp_path / "plans" / "opens.yaml"
    plan_files.write_file(str(file), b"one")
    before = file.stat().st_ino
    plan_files.write_file(str(file), b"two")
    assert file.read_bytes() == b"two"
    assert file.stat().st_ino != before
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(file.parent.iterdir()) == [file]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other, file = tmp_path / "other", tmp_path / "opens.yaml"
    other.write_text("kept")
    file.symlink_to(other)
    plan_files.write_file(str(file), b"plan")
    assert other.read_text() == "kept"
    assert not file.is_symlink()


def test_the_signature_is_written_before_what_it_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(plan_files, "write_file", lambda path, _content: written.append(path))
    wanted = {str(tmp_path / "a.yaml"): b"plan", str(tmp_path / "a.yaml.sig"): b"signature"}
    module = SimpleNamespace(check_mode=False)
    assert plan.apply_changes(module, wanted)["changed"]
    assert written == [str(tmp_path / "a.yaml.sig"), str(tmp_path / "a.yaml")]


def test_check_mode_touches_nothing(tmp_path: Path) -> None:
    present = tmp_path / "a.yaml"
    present.write_text("plan")
    wanted = {str(present): None, str(tmp_path / "b.yaml"): b"new"}
    changed = plan.apply_changes(SimpleNamespace(check_mode=True), wanted)
    assert (changed["changed"], len(changed["diff"])) == (True, 2)
    assert list(tmp_path.iterdir()) == [present]
    assert present.read_text() == "plan"


@pytest.mark.parametrize(
    ("source", "name"),
    [("a/opens.yaml", "opens"), ("opens.yml", "opens"), ("x.ppb", "x"), ("a.b", "a.b")],
)
def test_a_plan_is_called_as_its_file(source: str, name: str) -> None:
    assert plan._stem(source) == name
