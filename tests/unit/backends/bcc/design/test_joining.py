"""Which hooks share one program and one link."""

from collections import Counter
from dataclasses import replace

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.design.groups import group_sides
from orchestrator.backends.bcc.design.joining import choose_mechanisms, pack_cookie
from orchestrator.backends.bcc.design.layout import MapLayout
from orchestrator.backends.bcc.design.mechanism import MechanismChoice
from orchestrator.backends.compiled import build_artifact
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import no, yes
from orchestrator.plan.attach_kinds import AttachKind
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded

LINKS = ("kprobe_multi", "uprobe_multi", "uprobe_multi_process")
COUNT = "metrics: {n: {count: true, by: [func]}}"
LIMITS = "limits: {probes: 100}\n"


def facts(**features: bool) -> KernelFacts:
    """6.1 with links, or without."""
    own = dict.fromkeys(LINKS, True) | features
    states = {name: yes("made up") if has else no("not here") for name, has in own.items()}
    return recorded("6.1").with_features(states)


def mechanisms(program: Program, kernel: KernelFacts) -> Counter[str | None]:
    return Counter(choice.mechanism for choice in choose_mechanisms(program, kernel).values())


def file_program(kind: AttachKind, more: str = "") -> Program:
    """A count at three places in a file, which no recording has."""
    program = recorded_program(f"{more}\nprobes: {{p: {{attach: '{kind}:c:one', {COUNT}}}}}")
    [probe], [hook] = program.probes, program.hooks
    hooks = tuple(replace(hook, id=n, symbol=f"f{n}", file_offset=64 * n) for n in range(1, 4))
    return replace(program, probes=(replace(probe, hooks=hooks),))


def test_a_glob_of_functions_is_one_program() -> None:
    """Each function has its side in the ledger, and a cookie that names it."""
    program = recorded_program(f"{LIMITS}probes: {{p: {{attach: 'entry:vfs_*', {COUNT}}}}}")
    choices = choose_mechanisms(program, facts())
    layout = MapLayout(program)
    [group] = group_sides(layout, choices)
    assert group.mechanism == "kprobe multi"
    assert len(group.served) == len(program.hooks) > 20
    cookies = [pack_cookie(side) for side in group.served]
    numbers = range(len(program.hooks))
    assert cookies == [n | n << 16 | n << 32 for n in numbers]


def test_without_links_each_function_has_its_program_and_says_why() -> None:
    program = recorded_program(f"{LIMITS}probes: {{p: {{attach: 'entry:vfs_*', {COUNT}}}}}")
    choices = choose_mechanisms(program, facts(kprobe_multi=False))
    assert "kprobe multi" not in {choice.mechanism for choice in choices.values()}
    assert {choice.rejected["kprobe multi"] for choice in choices.values()} == {"not here"}


def test_a_few_functions_keep_their_trampolines() -> None:
    """A hit costs less by them."""
    program = recorded_program(f"probes: {{p: {{attach: 'entry:vfs_wri*', {COUNT}}}}}")
    assert mechanisms(program, facts()) == {"fentry": len(program.hooks)}
    assert 2 <= len(program.hooks) < 8


def test_calls_of_kernel_functions_and_their_returns_are_not_joined() -> None:
    """Entry and return are paired by the stack pointer, which a link does not show alike."""
    for kind in ("function", "kretprobe"):
        program = recorded_program(f"{LIMITS}probes: {{p: {{attach: '{kind}:vfs_*', {COUNT}}}}}")
        assert "kprobe multi" not in mechanisms(program, facts())


def test_a_function_that_takes_a_stack_is_not_joined() -> None:
    plan = (
        LIMITS + "probes: {p: {attach: 'entry:vfs_*', metrics: {n: {count: true, by: [kstack]}}}}"
    )
    assert "kprobe multi" not in mechanisms(recorded_program(plan), facts())


def test_functions_that_read_different_arguments_are_joined_with_their_like() -> None:
    """`args.file` has another number, or another place, in some of them."""
    plan = (
        LIMITS
        + """
probes:
  p: {attach: 'entry:vfs_*', optional: true, metrics: {n: {count: true, by: [func]}},
      where: args.file != 0}
"""
    )
    program = recorded_program(plan)
    choices = choose_mechanisms(program, facts())
    groups = group_sides(MapLayout(program), choices)
    joined = [group for group in groups if group.joined]
    assert joined
    for group in joined:
        assert {side.hook.body.where for side in group.served} == {group.sides[0].hook.body.where}


def test_a_place_that_another_probe_has_too_is_not_joined() -> None:
    """One program at a place does the work of all probes there, in order."""
    plan = (
        LIMITS
        + f"""
probes:
  a: {{attach: 'entry:vfs_*', {COUNT}}}
  b: {{attach: 'entry:vfs_read', {COUNT}}}
"""
    )
    program = recorded_program(plan)
    choices = choose_mechanisms(program, facts())
    alone = {h.symbol for h in program.hooks if choices[h.id].mechanism == "fentry"}
    assert alone == {"vfs_read"}


@pytest.mark.parametrize("kind", ["uprobe", "ufunction"])
def test_places_of_a_file_are_joined_unless_the_target_alone_may_have_them(
    kind: AttachKind,
) -> None:
    everywhere = file_program(kind)
    assert set(mechanisms(everywhere, facts())) == {"uprobe multi"}
    assert set(mechanisms(everywhere, facts(uprobe_multi=False))) == {"dynamic event"}
    one = file_program(kind, "target: {pid: 1}")
    assert set(mechanisms(one, facts())) == {"uprobe multi"}
    assert set(mechanisms(one, facts(uprobe_multi_process=False))) == {"dynamic event"}
    bound = file_program(kind, "target: {pid: 1, children: true}")
    choices = choose_mechanisms(bound, facts())
    assert {choice.mechanism for choice in choices.values()} == {"dynamic event"}
    [why] = {choice.rejected["uprobe multi"] for choice in choices.values()}
    assert why == "it would be in every process that maps the file, and not in the target's alone"


def test_a_return_of_a_user_function_alone_is_not_joined() -> None:
    program = file_program("uretprobe")
    assert set(mechanisms(program, facts())) == {"dynamic event"}


def test_a_place_that_was_refused_is_attached_by_itself_and_the_others_are_joined() -> None:
    program = recorded_program(f"{LIMITS}probes: {{p: {{attach: 'entry:vfs_*', {COUNT}}}}}")
    choices = choose_mechanisms(program, facts(), {2: {"kprobe multi": "the link was refused"}})
    assert choices[2].mechanism == "fentry"
    assert choices[2].rejected["kprobe multi"] == "the link was refused"
    others: list[MechanismChoice] = [choice for at, choice in choices.items() if at != 2]
    assert {choice.mechanism for choice in others} == {"kprobe multi"}
    assert {choice.joined for choice in others} == {0}


def test_programs_of_bundles_are_never_joined() -> None:
    """They are compiled for other hosts, where the hooks may be others."""
    program = recorded_program(f"{LIMITS}probes: {{p: {{attach: 'entry:vfs_*', {COUNT}}}}}")
    artifact = build_artifact(program, facts())
    assert "kprobe multi" not in {hook.mechanism for hook in artifact.hooks}
    assert len(artifact.detail.functions) == len(program.hooks)


def test_the_text_of_joined_hooks_has_the_work_once_and_finds_counters_by_cookie() -> None:
    program = recorded_program(f"{LIMITS}probes: {{p: {{attach: 'entry:vfs_*', {COUNT}}}}}")
    text = backend("bcc").emit(program, facts()).text
    assert text.count("_work(unsigned long long *ctx") == 1
    assert "u32 side = (u32)(pp_attach_cookie(ctx) & 0xffff);" in text
