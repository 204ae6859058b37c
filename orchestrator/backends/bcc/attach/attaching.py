"""From an artifact to a session: compiled, attached, in another way where one is refused."""

from collections.abc import Mapping

from orchestrator.backends.bcc.attach.attachments import TrampolineRefused
from orchestrator.backends.bcc.attach.session import BccSession
from orchestrator.backends.bcc.compiler import clang
from orchestrator.backends.bcc.design.artifact import Detail
from orchestrator.backends.bcc.design.artifact import artifact as with_choices
from orchestrator.backends.bcc.design.mechanism import choose
from orchestrator.backends.protocol import Artifact, AttachOptions
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError

__all__ = ["attach", "attach_compiled", "compiled"]


def attach(artifact: Artifact[Detail], facts: KernelFacts, options: AttachOptions) -> BccSession:
    """Attach everything or nothing, disarmed; optional hooks may be left out. Raises HostError."""
    try:
        return attach_compiled(artifact, compiled(artifact), options)
    except TrampolineRefused as refused:
        return attach(_without_trampoline(artifact, facts, refused), facts, options)


def _without_trampoline(
    artifact: Artifact[Detail], facts: KernelFacts, refused: TrampolineRefused
) -> Artifact[Detail]:
    """The artifact with that hook's next mechanism. Raises `refused` when it has none."""
    why = "; ".join(finding.message for finding in refused.findings)
    choice = choose(refused.hook, facts, {"fentry": why})
    if choice.mechanism is None:
        raise refused
    choices = {**artifact.detail.choices, refused.hook.id: choice}
    return with_choices(artifact.program, facts, choices)


def compiled(artifact: Artifact[Detail]) -> Mapping[str, bytes]:
    """The instructions of every function of the artifact. Needs the compiler or its cache, but
    neither root nor the kernel that they are for. Raises HostError."""
    try:
        return clang.compile_c(artifact.text, artifact.detail.functions)
    except clang.CompileError as error:
        message = f"the generated program could not be compiled: {error}"
        raise HostError([Finding(code="PP089", message=message)]) from None


def attach_compiled(
    artifact: Artifact[Detail], code: Mapping[str, bytes], options: AttachOptions
) -> BccSession:
    """As `attach`, with instructions that `compiled` made, perhaps on another machine."""
    session = BccSession(artifact, options)
    try:
        session.set_up(code)
    except BaseException:
        session.detach()
        raise
    return session
