"""Attach points in user code: every function of the name, at the start of an instruction."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.compile.program import Program
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.plan.findings import HostError
from tests.support.binaries import build_target, build_twins, build_versions

Compile = Callable[..., Program]


def test_a_name_of_several_functions_is_a_hook_at_each(compiled: Compile, tmp_path: Path) -> None:
    """The hooks know the file that their offsets are of."""
    binary = build_twins(tmp_path)
    program = compiled(f"probes: {{p: {{attach: 'ufunction:{binary}:twin', emit: {{}}}}}}")
    assert len({hook.file_offset for hook in program.hooks}) == 2
    identity = FileIdentity.from_stat(binary.stat())
    assert {(hook.path, hook.identity) for hook in program.hooks} == {(str(binary), identity)}


@pytest.mark.parametrize(("name", "hooks"), [("versioned", 2), ("versioned@V1", 1)])
def test_a_version_may_be_named(compiled: Compile, tmp_path: Path, name: str, hooks: int) -> None:
    library, _ = build_versions(tmp_path)
    program = compiled(f"probes: {{p: {{attach: 'uretprobe:{library}:{name}', emit: {{}}}}}}")
    assert len(program.hooks) == hooks


def test_an_offset_inside_an_instruction_is_refused_with_its_place(
    compiled: Compile, tmp_path: Path
) -> None:
    library = build_target(tmp_path)
    with pytest.raises(HostError, match=r"target\+0x3 is inside an instruction") as refused:
        compiled(f"probes: {{p: {{attach: 'uprobe:{library}:target+3', emit: {{}}}}}}")
    [finding] = refused.value.findings
    assert (finding.code, finding.position.line > 0) == ("PP081", True)
    program = compiled(f"probes: {{p: {{attach: 'uprobe:{library}:target+4', emit: {{}}}}}}")
    assert [hook.offset for hook in program.hooks] == [4]
