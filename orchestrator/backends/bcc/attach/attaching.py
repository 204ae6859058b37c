"""From an artifact to a session: compiled and attached, by another mechanism where one is refused.

Every part is finished before the session gets it, and what was made is undone when a later part
fails.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence

from orchestrator.backends.bcc.attach import seed
from orchestrator.backends.bcc.attach.attachments import Attachments, MechanismRefused
from orchestrator.backends.bcc.attach.control import ControlElement
from orchestrator.backends.bcc.attach.identity import check_namespace, own_tgid
from orchestrator.backends.bcc.attach.program_prices import read_prices
from orchestrator.backends.bcc.attach.session import BccSession
from orchestrator.backends.bcc.attach.session_maps import close_maps, create_maps, fill_ledger
from orchestrator.backends.bcc.compiler.places import FillError, OpenProgram, fill_program
from orchestrator.backends.bcc.counts.session_counters import SessionCounters
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.bcc.design.function_names import (
    ENDED,
    EXEC,
    EXIT,
    FORK,
    MADE,
    RELEASED,
    REPLACED,
)
from orchestrator.backends.bcc.design.groups import ProgramGroup, cluster_groups, group_sides
from orchestrator.backends.bcc.design.mechanism import Mechanism
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.backends.protocol import Artifact, AttachOptions
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError

__all__ = ["attach", "attach_compiled", "compile_artifact", "compile_for_others"]
__all__ += ["compile_program", "fill_artifact"]

_INSTRUCTION_BYTES = 8  # struct bpf_insn
_MOST_INSTRUCTIONS = (1 << 15) - 1
#: The programs of emit.calls and where they run: at the end of a thread, when it is freed, at exec.
_ENDERS = tuple(
    zip(
        (*ENDED, REPLACED),
        ("sched_process_exit", "sched_process_free", "sched_process_exec"),
        strict=True,
    )
)


def attach(artifact: Artifact[BccDetail], facts: KernelFacts, options: AttachOptions) -> BccSession:
    """Attach everything or nothing, disarmed; optional hooks may be left out. Raises HostError."""
    refused: dict[int, dict[Mechanism, str]] = {}
    while True:
        try:
            return attach_compiled(artifact, compile_artifact(artifact, options.compiling), options)
        except MechanismRefused as refusal:
            for hook in refusal.hooks:
                refused.setdefault(hook.id, {})[refusal.mechanism] = refusal.why
            artifact = _choose_again(artifact, facts, refused, refusal)


def _choose_again(
    artifact: Artifact[BccDetail],
    facts: KernelFacts,
    refused: Mapping[int, Mapping[Mechanism, str]],
    refusal: MechanismRefused,
) -> Artifact[BccDetail]:
    """The artifact without the mechanisms that were `refused` so far, by hook. Raises `refusal`
    where a hook has no other."""
    from orchestrator.backends.bcc.artifact import build_artifact  # only where one is refused
    from orchestrator.backends.bcc.design.joining import choose_mechanisms

    choices = choose_mechanisms(artifact.program, facts, refused)
    if any(choices[hook.id].mechanism is None for hook in refusal.hooks):
        raise refusal
    return build_artifact(artifact.program, facts, choices)


def compile_artifact(
    artifact: Artifact[BccDetail], before: Callable[[], None] = lambda: None
) -> Mapping[str, bytes]:
    """The instructions of every function of the artifact. Needs the compiler or its cache, but
    neither root nor the kernel that they are for. `before`: called before it is compiled, where it
    was not compiled earlier. Raises HostError."""
    return fill_artifact(artifact, compile_program(artifact, before))


def compile_program(
    artifact: Artifact[BccDetail], before: Callable[[], None] = lambda: None
) -> OpenProgram:
    """As `compile_artifact`, without the numbers of the artifact's host: one program for all hosts
    of its key. Raises HostError."""
    from orchestrator.backends.bcc.compiler import clang  # the programs of bundles need none

    try:
        functions, arch = artifact.detail.functions, artifact.program.arch
        program = clang.compile_kept(artifact.text, functions, arch, before)
    except clang.CompileError as error:
        raise _refuse_to_compile(error) from None
    _check_lengths(artifact, program.code)
    return program


def compile_for_others(artifacts: Sequence[Artifact[BccDetail]]) -> list[OpenProgram]:
    """As `compile_program`, for programs that leave this machine: compiled twice, with their places
    checked, by one child. Raises HostError where one of them cannot be compiled."""
    from orchestrator.backends.bcc.compiler import checked, clang  # no run needs it

    texts = [
        checked.OpenText(
            text=artifact.text,
            functions=artifact.detail.functions,
            arch=artifact.program.arch,
            is_open=bool(artifact.numbers),
        )
        for artifact in artifacts
    ]
    try:
        programs = checked.compile_checked(texts)
    except clang.CompileError as error:
        raise _refuse_to_compile(error) from None
    for artifact, program in zip(artifacts, programs, strict=True):
        _check_lengths(artifact, program.code)
    return programs


def _refuse_to_compile(error: Exception) -> HostError:
    message = f"the generated program could not be compiled: {error}"
    return HostError([Finding(code="PP089", message=message)])


def fill_artifact(artifact: Artifact[BccDetail], program: OpenProgram) -> Mapping[str, bytes]:
    """The program with the artifact's numbers at its places. Raises HostError."""
    try:
        return fill_program(program, artifact.numbers)
    except FillError as error:
        message = f"the numbers of this host do not fit into the compiled program: {error}"
        raise HostError([Finding(code="PP089", message=message)]) from None


def _check_lengths(artifact: Artifact[BccDetail], code: Mapping[str, bytes]) -> None:
    """Jumps have 16 bits: in a longer program, older compilers write wrong ones without a word."""
    for group in group_sides(artifact.detail.layout, artifact.detail.choices):
        length = len(code[group.function]) // _INSTRUCTION_BYTES
        if length > _MOST_INSTRUCTIONS:
            hook = group.sides[0].hook
            message = (
                f"the program of {hook.label} has {length:,} instructions; its jumps reach "
                f"{_MOST_INSTRUCTIONS:,}"
            )
            hint = "test and emit less there: searches in strings take the most"
            finding = Finding(code="PP089", message=message, position=hook.position, hint=hint)
            raise HostError([finding])


def attach_compiled(
    artifact: Artifact[BccDetail], code: Mapping[str, bytes], options: AttachOptions
) -> BccSession:
    """As `attach`, with the instructions by function from `compile_artifact`, perhaps on another
    machine. Raises HostError, and MechanismRefused where another mechanism may do."""
    from orchestrator.backends.bcc.counts.ring import Ring

    detail, program = artifact.detail, artifact.program
    groups = group_sides(detail.layout, detail.choices)
    if options.counting:
        groups = tuple(group for group in groups if group.sees_beginnings)
    prices = read_prices(groups)
    with contextlib.ExitStack() as undoing:
        maps = create_maps(detail)
        undoing.callback(close_maps, maps)
        control = ControlElement(detail.layout, maps[layout.CONTROL], maps[layout.SHARED])
        undoing.callback(control.release)
        tgid = own_tgid()
        check_namespace(program.target, tgid)
        control.write(seed.control_words(detail.layout, tgid, counting=options.counting))
        fill_ledger(detail.layout, maps)
        ring = None
        if detail.ring_bytes:
            ring = Ring(maps[layout.RING].fd, detail.ring_bytes)
            undoing.callback(ring.close)
        attachments = Attachments(
            detail.choices, options, _descriptors(maps), program.target, artifact.numbers
        )
        undoing.callback(attachments.detach_all)
        _attach_all(artifact, groups, code, attachments, maps, options)
        return BccSession(
            detail.layout,
            maps=maps,
            control=control,
            ring=ring,
            attachments=attachments,
            counters=SessionCounters(detail.layout, maps, control.is_armed),
            prices=prices,
            undoing=undoing.pop_all(),
        )


def _attach_all(  # noqa: PLR0913  # everything that was made before
    artifact: Artifact[BccDetail],
    groups: Sequence[ProgramGroup],
    code: Mapping[str, bytes],
    attachments: Attachments,
    maps: Mapping[int, Map],
    options: AttachOptions,
) -> None:
    """All programs; those that follow the target's tasks around the others."""
    follows = artifact.detail.layout.follows_numbers
    clusters = cluster_groups(groups)
    opens_calls = artifact.detail.layout.frame_bytes and not options.counting
    enders = _ENDERS if opens_calls else ()
    attachments.load_ahead(clusters, [name for name, _ in enders], code)
    if follows:
        attachments.attach_follower(FORK, code[FORK], "sched_process_fork")
        attachments.attach_follower(EXEC, code[EXEC], "sched_process_exec")
        # What is read from /proc now; the programs see what happens later.
        seed.seed_tasks(maps[layout.TASKS], artifact.program.target, options.root_pid)
    if artifact.detail.layout.follows_cgroups:
        seed.add_lost_cgroups(maps[layout.CGROUPS], 0)
        attachments.attach_follower(MADE, code[MADE], "cgroup_mkdir")
        attachments.attach_follower(RELEASED, code[RELEASED], "cgroup_release")
        seed.seed_cgroups(maps[layout.CGROUPS], artifact.detail.layout.cgroup_patterns)
    for hook in artifact.program.hooks:
        choice = artifact.detail.choices[hook.id]
        if choice.mechanism is None:
            attachments.skip_hook(hook, "; ".join(choice.rejected.values()))
    for cluster in clusters:
        attachments.attach_cluster(cluster, code)
    for name, event in enders:
        attachments.attach_follower(name, code[name], event)
    if follows:  # a probe at the same event sees the task before it is removed
        attachments.attach_follower(EXIT, code[EXIT], "sched_process_exit")
    attachments.end_loading()


def _descriptors(maps: Mapping[int, Map]) -> dict[int, int]:
    return {placeholder: created.fd for placeholder, created in maps.items()}
