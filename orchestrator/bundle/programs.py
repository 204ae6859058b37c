"""The backend whose programs are a bundle's: they are looked up, filled with this host's numbers
and attached, and no compiler is started or looked for.

The host makes the text of its program from its own facts, as a run of the plan's file does, and
looks for the program of exactly that text.
"""

from typing import Any

from orchestrator.backends.compiled import (
    NAME,
    attach_compiled,
    build_artifact,
    fill_artifact,
    make_program_key,
)
from orchestrator.backends.protocol import Artifact, AttachOptions, Session
from orchestrator.bundle.model import Bundle, BundledProgram
from orchestrator.bundle.validity import check_bundle_arch
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.values import dataclass

__all__ = ["BundledPrograms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """The artifact of a program on a kernel."""

    program: Program
    facts: KernelFacts
    artifact: Artifact[Any]

    def is_of(self, program: Program, facts: KernelFacts) -> bool:
        """Whether it is of the very same program and kernel."""
        return self.program is program and self.facts is facts


class BundledPrograms:
    """The bcc backend with the programs of one bundle."""

    NAME = NAME

    def __init__(self, bundle: Bundle, file: str) -> None:
        """`file`: the bundle's, for findings."""
        self._bundle, self._file = bundle, file
        self._made: _Made | None = None
        self._instead: dict[str, str] = {}

    def unsupported(
        self, program: Program, facts: KernelFacts, *, user_space: bool
    ) -> tuple[Finding, ...]:
        """Why `program` cannot run on that kernel by the bundle's programs: the kernel cannot run
        it, or the bundle has no program of its text. `user_space` changes nothing here."""
        try:
            check_bundle_arch(self._bundle, program.arch, self._file)
            self.emit(program, facts)
        except HostError as error:
            return error.findings
        return ()

    def emit(self, program: Program, facts: KernelFacts) -> Artifact[Any]:
        """The artifact. Raises HostError when `unsupported` is not empty."""
        artifact = self._make(program, facts)
        self._find(artifact)
        return artifact

    def try_artifact(self, artifact: Artifact[Any]) -> None:
        """Fill it. Raises HostError where a number does not fit."""
        fill_artifact(artifact, self._find(artifact).program)

    def attach(
        self, artifact: Artifact[Any], facts: KernelFacts, options: AttachOptions
    ) -> Session:
        """Attach everything or nothing, disarmed. Where the kernel refuses a trampoline, no probe
        is attached by one: any mixture of the two would be another text. Raises HostError."""
        from orchestrator.backends.bcc.attach.attachments import TrampolineRefused  # to attach only

        try:
            return self._attach_as_it_is(artifact, options)
        except TrampolineRefused as error:
            refused = error
        other = self._without_trampolines(artifact.program, facts, refused)
        session = self._attach_as_it_is(other, options)
        self._instead[self.find_key(artifact)] = self.find_key(other)
        return session

    def find_attached_key(self, artifact: Artifact[Any]) -> str:
        """The name of the program that `attach` attached for the artifact, or would first."""
        key = self.find_key(artifact)
        return self._instead.get(key, key)

    def find_key(self, artifact: Artifact[Any]) -> str:
        """The name that the artifact's program has in the bundle, if it is there."""
        return make_program_key(artifact, self._bundle.compiler)

    def _make(self, program: Program, facts: KernelFacts) -> Artifact[Any]:
        """The artifact; made once, although asked for twice. Raises HostError where the kernel
        cannot run the program."""
        if self._made is None or not self._made.is_of(program, facts):
            artifact = build_artifact(program, facts)
            self._made = _Made(program=program, facts=facts, artifact=artifact)
        return self._made.artifact

    def _attach_as_it_is(self, artifact: Artifact[Any], options: AttachOptions) -> Session:
        code = fill_artifact(artifact, self._find(artifact).program)
        return attach_compiled(artifact, code, options)

    def _without_trampolines(
        self, program: Program, facts: KernelFacts, refused: HostError
    ) -> Artifact[Any]:
        """The artifact for a kernel that has none. Raises HostError with the kernel's refusal,
        where the bundle has no program of it or a probe can be attached in no other way."""
        from orchestrator.bundle.variants import without_trampolines  # where one is refused

        why = "; ".join(finding.message for finding in refused.findings)
        reduced = without_trampolines(facts, why)
        if reasons := self.unsupported(program, reduced, user_space=False):
            raise HostError([*refused.findings, *reasons])
        return self._make(program, reduced)

    def _find(self, artifact: Artifact[Any]) -> BundledProgram:
        """Raises HostError where the bundle has no such program."""
        try:
            return self._bundle.programs[self.find_key(artifact)]
        except KeyError:
            raise HostError([self._make_refusal(artifact)]) from None

    def _make_refusal(self, artifact: Artifact[Any]) -> Finding:
        """The finding that the bundle has no program of the artifact's text: what is wanted, and in
        what the nearest program differs."""
        from orchestrator.bundle.refusal import refuse_program  # where one is missing

        key = self.find_key(artifact)
        return refuse_program(artifact, key, self._bundle, Position(file=self._file))
