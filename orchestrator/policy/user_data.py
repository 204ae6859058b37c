"""What a policy's `user_strings`, `allow_user` and `kernel_memory` forbid of a program.

Redaction happens when a plan is compiled (`orchestrator.compile.redact`). Here the result is
judged again, sink by sink: user data that leaves is text that was read from its beginning, and is
shown by its digest or cut; or the program is refused.
"""

from collections.abc import Iterator, Sequence

from orchestrator.compile.expressions.data_sources import (
    DataSources,
    Origins,
    SourcedNode,
    address_of_read,
)
from orchestrator.compile.expressions.nodes import (
    Const,
    Either,
    EndpointOf,
    Field,
    IpOf,
    Load,
    Node,
    ReadBytes,
    ReadString,
    ReadStrings,
)
from orchestrator.compile.expressions.types import Buffer, Str, StringList, size_of
from orchestrator.compile.program import Hook, Presentation, Program
from orchestrator.compile.redact import walk_body
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding
from orchestrator.plan.model import Redact
from orchestrator.policy.data_sinks import DataSink, find_data_sinks
from orchestrator.policy.model import Policy
from orchestrator.policy.wording import describe_rule, exception_hint

__all__ = ["WHOLE_BYTES", "find_user_data_violations"]

#: A digest is of at least so many bytes: by the digests of ever longer beginnings, text could be
#: guessed one byte after the other.
WHOLE_BYTES = 64

_WORDS = {
    "memory": "user memory",
    "registers": "registers of user code",
    "stacks": "user stacks",
    "copies": "text that the kernel has copied from user programs",
}


def find_user_data_violations(
    program: Program, facts: KernelFacts, policy: Policy
) -> Iterator[Finding]:
    """A finding for each hook that reads what it must not, and each sink by which user data
    leaves."""
    if policy.user_strings == "allow" and policy.kernel_memory == "any":
        return
    check = _ProgramCheck(program, facts, policy)
    for hook in program.hooks:
        yield from check.find_violations(hook)


class _ProgramCheck:
    """One program under one policy."""

    def __init__(self, program: Program, facts: KernelFacts, policy: Policy) -> None:
        self._program, self._facts, self._policy = program, facts, policy
        self._allowed = {entry.text for entry in policy.allow_user}

    def find_violations(self, hook: Hook) -> Iterator[Finding]:
        """What the policy forbids at one hook."""
        if self._policy.kernel_memory == "typed":
            yield from self._find_computed_read(hook)
        if self._policy.user_strings == "deny":
            yield from self._find_denied_read(hook)
        elif self._policy.user_strings != "allow":
            yield from self._find_leaks(hook)

    # ---------------------------------------------------------------- reads

    def _find_computed_read(self, hook: Hook) -> Iterator[Finding]:
        sources = self._sources(hook)
        for node in walk_body(hook.body):
            at = address_of_read(node)
            if at is None or sources.reads_user_memory(at) or _follows_type(sources, node, at):
                continue
            yield Finding(
                code="PP129",
                message=f"{hook.label}: the probe reads kernel memory at an address that is "
                "computed, or whose type only the plan states, and which can lead to any memory; "
                f"only typed reads are allowed: "
                f"{describe_rule(self._policy, self._policy.kernel_memory_key)}",
                position=hook.position,
                hint="read members of the arguments' own types (args.file.f_flags), or "
                + exception_hint(self._policy),
            )
            return

    def _find_denied_read(self, hook: Hook) -> Iterator[Finding]:
        sources = self._sources(hook)
        for node in walk_body(hook.body):
            if origins := sources.own_origins(node) - self._allowed:
                yield self._user_data_finding(
                    hook, f"the probe uses {_name(origins)}", "do not use it"
                )
                return

    # ---------------------------------------------------------------- sinks

    def _find_leaks(self, hook: Hook) -> Iterator[Finding]:
        for sink in find_data_sinks(hook, self._program):
            sources = self._sources(hook, sink.span)
            origins = sources.origins(sink.node) - self._allowed
            if not origins or (sink.use == "tested" and "conditions" in self._allowed):
                continue
            if sink.use != "shown":
                shows = (
                    f"{sink.what} would show something of {_name(origins)} through what it counts"
                )
                yield self._user_data_finding(hook, shows, "do not test or sum up user data")
            elif why := self._why_not_covered(sources, sink.node, sink):
                shows = f"{sink.what} would show {_name(origins)}: {why}"
                yield self._user_data_finding(hook, shows, "emit whole strings: str(p)")

    def _why_not_covered(self, sources: DataSources, node: Node, sink: DataSink) -> str:
        """Why redaction does not cover what is shown; "" if it does."""
        for of_hook, part in sources.resolve(node):
            if isinstance(part, Either):
                if of_hook.origins(part.test) - self._allowed:
                    return "which of two values is shown depends on it"
                arms = (self._why_not_covered(of_hook, arm, sink) for arm in (part.yes, part.no))
                if why := next(filter(None, arms), ""):
                    return why
            elif why := self._why_text_leaks(of_hook, part, sink.presentation):
                return why
        return ""

    def _why_text_leaks(
        self, sources: DataSources, node: Node, presentation: Presentation | None
    ) -> str:
        if not sources.origins(node) - self._allowed:
            return ""
        if not isinstance(node, ReadString | ReadBytes | ReadStrings | EndpointOf) and not (
            isinstance(node, Load | Field) and isinstance(node.type, Str)
        ):
            return "a number or an address cannot be redacted"
        if not _is_read_from_beginning(sources, node):
            return "it is read at an offset, by which redacted text could be read piece by piece"
        length = node.length if isinstance(node, ReadBytes | ReadString) else None
        if length is not None and sources.origins(length) - self._allowed:
            return "its length depends on user data"
        is_hashed = presentation is not None and presentation.hashed
        redact = self._policy.user_strings
        if isinstance(redact, Redact) and redact.kind == "truncate":
            is_cut = isinstance(node.type, Str | Buffer) and _text_size(node.type) <= redact.size
            return "" if is_cut or is_hashed else "it is neither cut nor hashed"
        if not is_hashed:
            return "it is not hashed"
        return _why_digest_leaks(node)

    # ---------------------------------------------------------------- parts

    def _sources(self, hook: Hook, span: int | None = None) -> DataSources:
        """The sources at a hook, and at the end of `span` with what that span keeps."""
        body = hook.body
        sources = DataSources(
            hook.traits,
            hook.tracepoint,
            self._facts,
            body.lets,
            body.entry.captures if body.entry is not None else (),
            noted=self._noted_nodes,
            event=hook.event,
            spare_conditions="conditions" in self._allowed,
            of_running_task=body.task is None or body.task == "none",
        )
        if span is None:
            return sources
        return sources.with_kept(lambda index: self._kept_nodes(span, index))

    def _kept_nodes(self, span: int, index: int) -> Sequence[SourcedNode]:
        return [
            (self._sources(hook), node)
            for hook in self._program.hooks
            for use in hook.body.spans
            if use.span == span
            for number, node in use.kept
            if number == index
        ]

    def _noted_nodes(self, note: int, index: int) -> Sequence[SourcedNode]:
        return [
            (self._sources(hook), node)
            for hook in self._program.hooks
            for use in hook.body.notes
            if use.note == note
            for number, node in use.kept
            if number == index
        ]

    def _user_data_finding(self, hook: Hook, what: str, instead: str) -> Finding:
        policy = self._policy
        return Finding(
            code="PP124",
            message=f"{hook.label}: {what}, which is forbidden here: "
            f"{describe_rule(policy, 'user_strings')}",
            position=hook.position,
            hint=f"{instead}, or {exception_hint(policy)}",
        )


def _name(origins: Origins) -> str:
    return " and ".join(_WORDS[origin] for origin in sorted(origins))


def _follows_type(sources: DataSources, node: Node, at: Node) -> bool:
    """Whether the kernel's types lead to the address, and say that what is read is there."""
    if not sources.is_typed(at):
        return False
    if isinstance(node, ReadString | ReadBytes):
        return sources.pointee_size(at) == 1
    if isinstance(node, IpOf):
        return sources.pointee_size(at) == size_of(node.type)
    return True


def _is_read_from_beginning(sources: DataSources, node: Node) -> bool:
    at = address_of_read(node.family if isinstance(node, EndpointOf) else node)
    if at is None:
        return True  # a string of the event's own record
    if isinstance(node, Load) and node.offset and sources.reads_user_memory(at):
        return False
    return sources.is_plain(at)


def _text_size(kind: Str | Buffer) -> int:
    """The most bytes of text that are shown."""
    return kind.size - 1 if isinstance(kind, Str) else kind.size


def _why_digest_leaks(node: Node) -> str:
    """Why a digest of the text would allow guesses at less than the whole; "" if it does not."""
    if isinstance(node, ReadBytes) and not isinstance(node.length, Const):
        return "a digest of a varying length could be guessed byte by byte"
    kind = node.type
    size = kind.size if isinstance(kind, Str | Buffer | StringList) else WHOLE_BYTES
    if size >= WHOLE_BYTES or (isinstance(node, Field) and size == node.field.size):
        return ""
    return f"a digest of {size} bytes could be guessed byte by byte (at least {WHOLE_BYTES})"
