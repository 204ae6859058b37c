"""Where the programs of a session are attached: all of them, but for what is optional."""

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence

from orchestrator.backends.bcc.attach.hooks import Placed, attach_side, load_side
from orchestrator.backends.bcc.attach.links import (
    AttachError,
    Attachment,
    close_together,
    raw_tracepoint,
)
from orchestrator.backends.bcc.attach.load import LoadError, load_program
from orchestrator.backends.bcc.design.groups import Group
from orchestrator.backends.bcc.design.maps import Map
from orchestrator.backends.bcc.design.mechanism import Choice, has_alternatives
from orchestrator.backends.protocol import AttachedHook, AttachOptions, SkippedHook
from orchestrator.compile.program import Hook
from orchestrator.kernel.abi import bpf
from orchestrator.plan.findings import Finding, HostError

__all__ = ["Places", "TrampolineRefused", "by_program"]


class TrampolineRefused(HostError):  # says what happened, as HostError's kin do
    """The kernel has trampolines, but none for this hook's function."""

    def __init__(self, hook: Hook, error: HostError) -> None:
        self.hook = hook
        super().__init__(error.findings)


class Places:
    """Loaded programs and their attachments. `placed` are the sides of hooks that fire; `maps` are
    those that programs may name, once they are made."""

    def __init__(
        self, choices: Mapping[int, Choice], options: AttachOptions, maps: Mapping[int, Map]
    ) -> None:
        self._choices, self._options, self._maps = choices, options, maps
        self.placed: list[Placed] = []
        self.attached: list[AttachedHook] = []
        self.skipped: list[SkippedHook] = []
        self._programs: list[int] = []
        self._followers: list[Attachment] = []

    def follow(self, name: str, code: bytes, event: str) -> None:
        """Attach a program that keeps the map of followed tasks."""
        try:
            program = load_program(code, bpf.RAW_TRACEPOINT, name=name, maps=self._descriptors())
            self._programs.append(program)
            self._followers.append(raw_tracepoint(event, program))
        except (LoadError, AttachError) as error:
            message = f"children cannot be followed: {error}"
            raise HostError([Finding(code="PP089", message=message)]) from None

    def place(self, cluster: Sequence[Group], code: Mapping[str, bytes]) -> None:
        """Attach programs that stand and fall together; what is optional may be left out."""
        hooks = {side.hook.id: side.hook for group in cluster for side in group.sides}
        try:
            placed = self._all_or_none(cluster, code)
        except HostError as error:
            if isinstance(error, TrampolineRefused) or not all(h.optional for h in hooks.values()):
                raise
            for hook in hooks.values():
                self.skip(hook, "; ".join(finding.message for finding in error.findings))
            return
        self.placed += placed
        for hook in sorted(hooks.values(), key=lambda hook: hook.id):
            own = [one for one in placed if one.side.hook is hook]
            made = AttachedHook(
                hook=hook.id,
                mechanism=self._choices[hook.id].mechanism or "none",
                target=_target(hook),
                detail=", ".join(one.attachment.place for one in reversed(own)),
            )
            self.attached.append(made)

    def skip(self, hook: Hook, reason: str) -> None:
        """Leave out a hook, for a reason that is told."""
        self.skipped.append(SkippedHook(hook=hook.id, reason=reason))

    def _all_or_none(self, cluster: Sequence[Group], code: Mapping[str, bytes]) -> list[Placed]:
        made: list[Placed] = []
        for group in cluster:
            try:
                made += self._attach(group, code[group.function])
            except HostError as error:
                for attachment in _distinct(made):
                    self._detach(attachment)
                hook = group.sides[0].hook
                if group.mechanism == "fentry" and has_alternatives(hook.kind):
                    raise TrampolineRefused(hook, error) from None
                raise
        return made

    def _attach(self, group: Group, code: bytes) -> list[Placed]:
        """One program, which does the work of all the group's sides. Raises HostError."""
        first = group.sides[0]
        try:
            program = load_side(first, group.mechanism, code, self._descriptors())
            self._programs.append(program)
            attachment = attach_side(first, group.mechanism, program, self._options)
        except (AttachError, ValueError, OSError) as error:
            finding = Finding(code="PP089", message=str(error), position=first.hook.position)
            raise HostError([finding]) from None
        return [Placed(side=side, program=program, attachment=attachment) for side in group.sides]

    def _descriptors(self) -> dict[int, int]:
        return {placeholder: made.fd for placeholder, made in self._maps.items()}

    def only_for(self, probes: Collection[int]) -> list[Placed]:
        """The sides whose programs serve none but these probes."""
        return [
            one
            for sides in by_program(self.placed)
            if all(side.side.hook.probe in probes for side in sides)
            for one in sides
        ]

    def take_away(self, gone: Sequence[Placed]) -> None:
        """Detach some before the others. Raises OSError (EBUSY) as `clear` does."""
        self.placed = [one for one in self.placed if one not in gone]
        programs = {one.program for one in gone}
        self._programs = [one for one in self._programs if one not in programs]
        self._undo(programs, _distinct(gone))

    def clear(self) -> None:
        """Take all away, in reverse. Raises OSError (EBUSY) when an event's definition could not be
        removed, after the rest."""
        attachments = [*self._followers, *_distinct(self.placed)]
        programs = self._programs
        self.placed, self._followers, self._programs = [], [], []
        with contextlib.ExitStack() as undoing:  # goes on after an error, and raises it at its end
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


def by_program(placed: Sequence[Placed]) -> list[list[Placed]]:
    """Sides by the program that does their work."""
    found: dict[int, list[Placed]] = {}
    for one in placed:
        found.setdefault(one.program, []).append(one)
    return list(found.values())


def _distinct(placed: Sequence[Placed]) -> list[Attachment]:
    """The attachments, each once: several sides may be one program."""
    return list({id(one.attachment): one.attachment for one in placed}.values())


def _target(hook: Hook) -> str:
    """What a hook is attached to, by the kernel's or the binary's name for it."""
    if hook.path:
        return f"{hook.path}:{hook.symbol or hex(hook.file_offset)}"
    if hook.tracepoint is not None:
        return f"{hook.tracepoint.category}:{hook.tracepoint.event}"
    return hook.symbol or hook.event or hook.label
