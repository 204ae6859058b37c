"""The backend whose programs are compiled on one machine and attached on another."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.backends.bcc.compiler.places import OpenProgram
from orchestrator.backends.protocol import Artifact, AttachOptions, Session
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts

__all__ = ["NAME", "attach_compiled", "build_artifact", "compile_artifact", "compile_for_others"]
__all__ += ["fill_artifact", "make_program_key", "read_compiler_version"]

NAME = "bcc"


def compile_artifact(artifact: Artifact[Any]) -> Mapping[str, bytes]:
    """The instructions by function. Needs the compiler, and neither root nor the kernel that they
    are for. Raises HostError."""
    from orchestrator.backends.bcc.attach import attaching

    return attaching.compile_artifact(artifact)


def compile_for_others(artifacts: Sequence[Artifact[Any]]) -> list[OpenProgram]:
    """As `compile_artifact`, without the numbers of the artifacts' hosts, for programs that leave
    this machine: each is compiled twice, and the places of its open numbers are checked. One
    process compiles them all. Raises HostError where one of them cannot be compiled."""
    from orchestrator.backends.bcc.attach import attaching

    return attaching.compile_for_others(artifacts)


def fill_artifact(artifact: Artifact[Any], program: OpenProgram) -> Mapping[str, bytes]:
    """The instructions by function: the program with the artifact's numbers at its places. Raises
    HostError for a number that its place cannot hold."""
    from orchestrator.backends.bcc.attach import attaching

    return attaching.fill_artifact(artifact, program)


def build_artifact(program: Program, facts: KernelFacts) -> Artifact[Any]:
    """The artifact of a program that this host need not compile. Raises HostError where this
    backend cannot run it on that kernel."""
    from orchestrator.backends.bcc import artifact

    return artifact.emit(program, facts, is_compiled=True)


def make_program_key(artifact: Artifact[Any], compiler: str | None = None) -> str:
    """The name of the artifact's program in the cache and in bundles: 64 hexadecimal digits.
    `compiler`: the version of bcc that makes or made it; None: that of the one installed here."""
    from orchestrator.backends.bcc.compiler.key import make_key

    functions, arch = artifact.detail.functions, artifact.program.arch
    return make_key(artifact.text, functions, arch=arch, compiler=compiler)


def read_compiler_version() -> str:
    """The version of the bcc that is installed here, read without importing it; "absent" without
    one."""
    from orchestrator.backends.bcc.compiler import key

    return key.read_compiler_version()


def attach_compiled(
    artifact: Artifact[Any], code: Mapping[str, bytes], options: AttachOptions
) -> Session:
    """Attach everything or nothing, disarmed, without a compiler; by no other mechanism than the
    artifact has. Raises HostError."""
    from orchestrator.backends.bcc.attach import attaching

    return attaching.attach_compiled(artifact, code, options)
