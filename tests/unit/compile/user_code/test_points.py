"""Attach points in user code: every function of the name, at the start of an instruction."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.compile.program import Program
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.plan.findings import HostError, PlanError
from tests.support.binaries import (
    GO_SOURCE,
    build_library,
    build_target,
    build_twins,
    build_versions,
    import_of,
)

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


def test_an_argument_without_debug_information_gets_the_ways_to_name_it(
    compiled: Compile, tmp_path: Path
) -> None:
    binary = build_target(tmp_path)
    with pytest.raises(HostError, match="has no argument 'size'") as refused:
        compiled(f"probes: {{p: {{attach: 'ufunction:{binary}:target', emit: [args.size]}}}}")
    [finding] = refused.value.findings
    assert finding.code == "PP082"
    assert finding.hint.startswith("spell them: `args: {name: u64}`; or install")
    assert "debug package, and pyelftools" in finding.hint


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


@pytest.mark.parametrize("kind", ["ufunction", "uretprobe"])
def test_a_return_that_may_kill_programs_needs_the_plans_word(
    compiled: Compile, tmp_path: Path, kind: str
) -> None:
    library = build_library(tmp_path, import_of("__cxa_throw"))
    probe = f"probes: {{p: {{attach: '{kind}:{library}:work', emit: {{}}"
    with pytest.raises(HostError, match=r"return probe on work may kill") as refused:
        compiled(f"{probe}}}}}")
    assert [finding.code for finding in refused.value.findings] == ["PP081"]
    assert len(compiled(f"{probe}, unsafe_return: true}}}}").hooks) == 1


def test_an_alternative_at_the_entry_is_taken_where_a_return_is_refused(
    compiled: Compile, tmp_path: Path
) -> None:
    work = f"{build_library(tmp_path, import_of('__cxa_throw'))}:work"
    items = f"['ufunction:{work}', 'uprobe:{work}']"
    program = compiled(f"probes: {{p: {{attach_first: {items}, emit: {{}}}}}}")
    assert [hook.kind for hook in program.hooks] == ["uprobe"]


def test_go_functions_have_no_arguments_here(compiled: Compile, tmp_path: Path) -> None:
    """Go has its own way to pass them; C code in the same file is called as C."""
    library = build_library(tmp_path, GO_SOURCE)
    probe = f"probes: {{p: {{attach: 'uprobe:{library}"
    go, c = f"{probe}:main.work'", f"{probe}:c_work'"
    with pytest.raises(PlanError, match="function of Go") as refused:
        compiled(f"{go}, args: {{v: s64}}, emit: {{}}}}}}")
    assert [finding.code for finding in refused.value.findings] == ["PP088"]
    with pytest.raises(PlanError) as refused:
        compiled(f"{go}, emit: {{v: arg0}}}}}}")
    assert [finding.code for finding in refused.value.findings] == ["PP088"]
    assert compiled(f"{go}, emit: [comm]}}}}").hooks
    assert compiled(f"{c}, args: {{v: s64}}, emit: {{v: args.v, also: arg0}}}}}}").hooks
