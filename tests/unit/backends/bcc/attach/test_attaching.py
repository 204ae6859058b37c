"""From an artifact to a session: by another mechanism where one is refused, or not at all."""

import os
from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach import attaching as module
from orchestrator.backends.bcc.attach.attachments import Attachments, TrampolineRefused
from orchestrator.backends.bcc.compiler import clang
from orchestrator.backends.bcc.compiler.clang import CompileError
from orchestrator.backends.bcc.compiler.places import OpenProgram
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.protocol import Artifact, AttachOptions
from orchestrator.plan.findings import Finding, HostError
from tests.support.bcc_maps import MemoryMap, fake_maps, recorded_program
from tests.support.recorded import recorded

REFUSED = HostError([Finding(code="PP089", message="no trampoline here")])
OPTIONS = AttachOptions(run_id="r")


def artifact_of(attach: str) -> Artifact[BccDetail]:
    """A count at one attach point, on 6.1."""
    plan = f"probes: {{p: {{attach: '{attach}', metrics: {{n: {{count: true}}}}}}}}"
    made: Artifact[BccDetail] = backend("bcc").emit(recorded_program(plan), recorded("6.1"))
    return made


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Artifact[BccDetail]]:
    """The artifacts that were tried to be attached: trampolines are always refused."""
    artifacts: list[Artifact[BccDetail]] = []

    def attach_compiled(artifact: Artifact[BccDetail], _code: object, _options: object) -> str:
        artifacts.append(artifact)
        if artifact.hooks[0].mechanism == "fentry":
            raise TrampolineRefused(artifact.program.hooks[0], REFUSED)
        return "attached"

    monkeypatch.setattr(module, "attach_compiled", attach_compiled)
    monkeypatch.setattr(module, "compile_artifact", lambda _artifact, _before: {})
    return artifacts


def test_a_refused_trampoline_becomes_a_dynamic_event(tried: list[Artifact[BccDetail]]) -> None:
    """The kernel's answer is the reason why it is not a trampoline."""
    made: Any = module.attach(artifact_of("entry:vfs_read"), recorded("6.1"), OPTIONS)
    assert made == "attached"
    assert [artifact.hooks[0].mechanism for artifact in tried] == ["fentry", "dynamic event"]
    assert tried[1].hooks[0].rejected["fentry"] == "no trampoline here"


def test_a_plan_that_asks_for_a_trampoline_gets_no_other(tried: list[Artifact[BccDetail]]) -> None:
    with pytest.raises(TrampolineRefused, match="no trampoline here"):
        module.attach(artifact_of("fentry:vfs_read"), recorded("6.1"), OPTIONS)
    assert len(tried) == 1


def test_c_that_does_not_compile_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_text: str, _functions: object, _arch: str, _before: object) -> OpenProgram:
        raise CompileError("expected ';'")

    monkeypatch.setattr(clang, "compile_kept", refuse)
    with pytest.raises(HostError, match="could not be compiled: expected ';'"):
        module.compile_artifact(artifact_of("entry:vfs_read"))


def test_what_was_made_is_undone_when_a_later_part_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attachments first, maps last."""
    artifact = artifact_of("entry:vfs_read")
    undone: list[str] = []
    map_layout, maps = fake_maps(artifact.program)
    mapped: dict[int, Any] = {
        layout.CONTROL: MemoryMap(map_layout.control_bytes),
        layout.SHARED: MemoryMap(map_layout.shared_bytes),
    }
    monkeypatch.setattr(module, "create_maps", lambda _detail: {**maps, **mapped})
    monkeypatch.setattr(module, "close_maps", lambda _maps: undone.append("maps"))
    monkeypatch.setattr(module, "read_prices", lambda _groups: {})
    monkeypatch.setattr(module, "own_tgid", os.getpid)
    monkeypatch.setattr(module, "fill_ledger", lambda *_: None)
    monkeypatch.setattr(module, "_descriptors", lambda _maps: {})

    def refuse(*_args: object) -> None:
        raise REFUSED

    monkeypatch.setattr(Attachments, "attach_cluster", refuse)
    monkeypatch.setattr(Attachments, "detach_all", lambda _self: undone.append("attachments"))
    with pytest.raises(HostError, match="no trampoline"):
        module.attach_compiled(artifact, {}, OPTIONS)
    assert undone == ["attachments", "maps"]


def test_a_program_that_jumps_cannot_cross_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its length, before the kernel sees it: at its attach point."""
    lengths = iter([0x7FFF, 0x8000])

    def compile_kept(
        _text: str, functions: Sequence[str], _arch: str, _before: object
    ) -> OpenProgram:
        return OpenProgram(code=dict.fromkeys(functions, bytes(8 * next(lengths))))

    monkeypatch.setattr(clang, "compile_kept", compile_kept)
    artifact = artifact_of("entry:vfs_read")
    assert module.compile_artifact(artifact)
    with pytest.raises(HostError, match="32,768 instructions") as refused:
        module.compile_artifact(artifact)
    [finding] = refused.value.findings
    assert finding.code == "PP089"
    assert finding.position == artifact.program.hooks[0].position
