"""The programs of a session, loaded and attached: all of them, except optional ones that fail."""

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from orchestrator.backends.bcc.attach.hooks import attach_side, load_side
from orchestrator.backends.bcc.attach.joined import PlacesRefused, attach_joined
from orchestrator.backends.bcc.attach.links import AttachRefused, attach_raw_tracepoint
from orchestrator.backends.bcc.attach.load import LoadError, load_program
from orchestrator.backends.bcc.attach.loading import LoadingAhead
from orchestrator.backends.bcc.attach.thread_events import may_gain_privileges
from orchestrator.backends.bcc.design.groups import ProgramGroup
from orchestrator.backends.bcc.design.mechanism import (
    Mechanism,
    MechanismChoice,
    has_alternatives,
)
from orchestrator.backends.bcc.design.scope import why_in_every_process
from orchestrator.backends.bcc.handles.attachment import (
    AttachedSide,
    Attachment,
    close_together,
    distinct_attachments,
    sides_by_program,
)
from orchestrator.backends.protocol import AttachedHook, AttachOptions, OpenNumber, SkippedHook
from orchestrator.compile.program import Hook, ResolvedTarget
from orchestrator.kernel.abi import bpf
from orchestrator.plan.findings import Finding, HostError

__all__ = ["Attachments", "MechanismRefused", "TrampolineRefused"]


class MechanismRefused(HostError):
    """The kernel has the mechanism, and refused it for these hooks."""

    def __init__(self, hooks: Sequence[Hook], mechanism: Mechanism, error: HostError) -> None:
        self.hooks, self.mechanism = tuple(hooks), mechanism
        super().__init__(error.findings)

    @property
    def why(self) -> str:
        """The kernel's answer."""
        return "; ".join(finding.message for finding in self.findings)


class TrampolineRefused(MechanismRefused):
    """The kernel has trampolines, but none for this hook's function."""

    def __init__(self, hook: Hook, error: HostError) -> None:
        super().__init__([hook], "fentry", error)


class Attachments:
    """Loaded programs and their attachments. `maps` are the descriptors that programs may name, by
    placeholder. `sides` are the sides of hooks that fire."""

    def __init__(
        self,
        choices: Mapping[int, MechanismChoice],
        options: AttachOptions,
        maps: Mapping[int, int],
        target: ResolvedTarget | None = None,
        numbers: Sequence[OpenNumber] = (),
    ) -> None:
        """`target`: probes in user code are bound to its processes where that is possible;
        `numbers`: those that were filled into the programs."""
        self._target, self._numbers = target or ResolvedTarget(), numbers
        self._choices, self._options, self._maps = choices, options, maps
        self.sides: list[AttachedSide] = []
        self.attached: list[AttachedHook] = []
        self.skipped: list[SkippedHook] = []
        self._programs: list[int] = []
        self._followers: list[Attachment] = []
        self._removals: list[_Removal] = []
        self._ahead = LoadingAhead({})

    def load_ahead(
        self,
        clusters: Iterable[Sequence[ProgramGroup]],
        followers: Iterable[str],
        code: Mapping[str, bytes],
    ) -> None:
        """Begin to load what will be attached, in that order; what fails is raised there."""
        loaders: dict[str, Callable[[], int]] = {}
        for group in (group for cluster in clusters for group in cluster):
            if name := group.witness and group.witness_function:
                loaders[name] = partial(self._load_counter, name, code[name])
            loaders[group.function] = partial(self._load_group, group, code)
        loaders |= {name: partial(self._load_counter, name, code[name]) for name in followers}
        self._ahead = LoadingAhead(loaders)

    def end_loading(self) -> None:
        """Unload what was loaded ahead and not attached. Idempotent."""
        self._ahead.close()

    def _load(self, name: str, load: Callable[[], int]) -> int:
        program = self._ahead.take(name) if name in self._ahead else load()
        self._programs.append(program)
        return program

    def _load_group(self, group: ProgramGroup, code: Mapping[str, bytes]) -> int:
        text = code[group.function]
        return load_side(group.sides[0], group.mechanism, text, self._maps, self._numbers)

    def _load_counter(self, name: str, code: bytes) -> int:
        return load_program(code, bpf.RAW_TRACEPOINT, name=name, maps=self._maps)

    def attach_follower(self, name: str, code: bytes, event: str) -> None:
        """Attach a program that follows threads or cgroups: what comes of them, their end. Raises
        HostError."""
        try:
            program = self._load(name, partial(self._load_counter, name, code))
            self._followers.append(attach_raw_tracepoint(event, program))
        except (LoadError, AttachRefused) as error:
            message = f"threads and cgroups cannot be followed: {error}"
            raise HostError([Finding(code="PP089", message=message)]) from None

    def attach_cluster(self, cluster: Sequence[ProgramGroup], code: Mapping[str, bytes]) -> None:
        """Attach all programs of a cluster or none; optional hooks are skipped when they fail.
        Raises HostError, and MechanismRefused where another mechanism may do."""
        hooks = {side.hook.id: side.hook for group in cluster for side in group.served}
        try:
            sides = self._attach_all_or_none(cluster, code)
        except HostError as error:
            if isinstance(error, MechanismRefused) or not all(h.optional for h in hooks.values()):
                raise
            for hook in hooks.values():
                self.skip_hook(hook, "; ".join(finding.message for finding in error.findings))
            return
        self.sides += sides
        for hook in sorted(hooks.values(), key=lambda hook: hook.id):
            self.attached.append(self._describe(hook, sides))

    def _describe(self, hook: Hook, sides: Sequence[AttachedSide]) -> AttachedHook:
        places = [attached.attachment.place for attached in sides if attached.side.hook is hook]
        return AttachedHook(
            hook=hook.id,
            mechanism=self._choices[hook.id].mechanism or "none",
            target=_name_target(hook),
            detail=", ".join(reversed(places)),
        )

    def skip_hook(self, hook: Hook, reason: str) -> None:
        """Leave out a hook; the reason is reported."""
        self.skipped.append(SkippedHook(hook=hook.id, reason=reason))

    def _attach_all_or_none(
        self, cluster: Sequence[ProgramGroup], code: Mapping[str, bytes]
    ) -> list[AttachedSide]:
        sides: list[AttachedSide] = []
        for group in cluster:
            try:
                sides += self._attach(group, code)
            except HostError as error:
                for attachment in distinct_attachments(sides):
                    self._detach(attachment)
                hook = group.sides[0].hook
                if group.mechanism == "fentry" and has_alternatives(hook.kind):
                    raise TrampolineRefused(hook, error) from None
                raise
        return sides

    def _attach(self, group: ProgramGroup, code: Mapping[str, bytes]) -> list[AttachedSide]:
        """One program, which does the work of all the group's sides, and its witness before it.
        Raises HostError."""
        first = group.sides[0]
        witness, link = self._attach_witness(group, code)
        try:
            program = self._load(group.function, partial(self._load_group, group, code))
            attachment = self._attach_program(group, program)
        except PlacesRefused as error:
            hooks = [side.hook for side in error.sides]
            finding = Finding(code="PP089", message=str(error), position=first.hook.position)
            raise MechanismRefused(hooks, group.mechanism, HostError([finding])) from None
        except (AttachRefused, ValueError, OSError) as error:
            self._close_all(link)
            finding = Finding(code="PP089", message=str(error), position=first.hook.position)
            raise HostError([finding]) from None
        except HostError:
            self._close_all(link)
            raise
        attachment.fds.extend(link)
        return [
            AttachedSide(
                side=side,
                program=program,
                attachment=attachment,
                witness=witness,
                witnessed_in=None if witness is None else first.index,
            )
            for side in group.served
            if side.name != "return" or not self._options.counting
        ]

    def _attach_program(self, group: ProgramGroup, program: int) -> Attachment:
        """Raises PlacesRefused, AttachRefused, ValueError and OSError."""
        processes = self._processes_for(group)
        if group.joined:
            process = processes[0] if len(processes) == 1 else 0
            return attach_joined(group.served, group.mechanism, program, process)
        return attach_side(group.sides[0], group.mechanism, program, self._options, processes)

    def _attach_witness(
        self, group: ProgramGroup, code: Mapping[str, bytes]
    ) -> tuple[int | None, list[int]]:
        """The program that counts the group's events, and the descriptors that keep it attached.
        Where the kernel refuses it, misses are unknown."""
        if not group.witness:
            return None, []
        name = group.witness_function
        try:
            program = self._load(name, partial(self._load_counter, name, code[name]))
            return program, attach_raw_tracepoint(group.witness, program).fds
        except (LoadError, AttachRefused):
            return None, []

    @staticmethod
    def _close_all(fds: Sequence[int]) -> None:
        for fd in fds:
            os.close(fd)

    def _processes_for(self, group: ProgramGroup) -> tuple[int, ...]:
        """The processes that get a probe in user code; none where all do."""
        hooks = {side.hook.id: side.hook for side in group.sides}.values()
        if any(why_in_every_process(h, group.mechanism, self._target) for h in hooks):
            return ()
        root = self._options.root_pid
        own = self._target.pid or self._target.tid
        own = own if root is None else (*self._target.pid, root)
        return () if self._target.children and may_gain_privileges(own) else own

    def sides_only_for(self, probes: Collection[int]) -> list[AttachedSide]:
        """The sides whose programs serve no other probes than these."""
        return [
            attached
            for sides in sides_by_program(self.sides)
            if all(attached.side.hook.probe in probes for attached in sides)
            for attached in sides
        ]

    def detach_sides(self, sides: Sequence[AttachedSide]) -> None:
        """Detach some before the others, in another thread: closing a perf event takes tens of ms,
        and the caller has records to read. `detach_all` waits for it, and raises what went wrong.
        """
        self.sides = [attached for attached in self.sides if attached not in sides]
        programs = {attached.program for attached in sides}
        programs |= {attached.witness for attached in sides if attached.witness is not None}
        self._programs = [program for program in self._programs if program not in programs]
        attachments = distinct_attachments(sides)
        self._removals.append(_Removal(lambda: self._undo_together(programs, attachments)))

    def detach_all(self) -> None:
        """Detach and unload everything, in reverse. Idempotent. Raises OSError (EBUSY) when an
        event's definition could not be removed, after the rest."""
        self.end_loading()
        attachments = [*self._followers, *distinct_attachments(self.sides)]
        programs = self._programs
        self.sides, self._followers, self._programs = [], [], []
        removals, self._removals = self._removals, []
        with contextlib.ExitStack() as undoing:  # goes on after an error, and raises it at its end
            undoing.callback(self._undo_together, programs, attachments)
            for removal in removals:
                undoing.callback(removal.finish)

    def _undo_together(self, programs: Collection[int], attachments: Sequence[Attachment]) -> None:
        with contextlib.ExitStack() as undoing:
            undoing.callback(self._undo, programs, attachments)
            undoing.callback(close_together, attachments)

    def _undo(self, programs: Collection[int], attachments: Sequence[Attachment]) -> None:
        with contextlib.ExitStack() as undoing:
            for program in programs:
                undoing.callback(os.close, program)
            for attachment in attachments:
                undoing.callback(self._detach, attachment)

    def _detach(self, attachment: Attachment) -> None:
        attachment.detach()
        for name in attachment.events:
            self._options.unjournal("event", name)


class _Removal:
    """Detaching that goes on in another thread, or is done at once where none may be started."""

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo = undo
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._attempt)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads may be allowed
            self._attempt()

    def _attempt(self) -> None:
        try:
            self._undo()
        except Exception as error:  # raised by `finish`, in the thread that reports it
            self._error = error

    def finish(self) -> None:
        """Wait for its end. Raises what it raised."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error


def _name_target(hook: Hook) -> str:
    """What a hook is attached to, by the kernel's or the binary's name for it."""
    if hook.path:
        return f"{hook.path}:{hook.symbol or hex(hook.file_offset)}"
    if hook.tracepoint is not None:
        return f"{hook.tracepoint.category}:{hook.tracepoint.event}"
    return hook.symbol or hook.event or hook.label
