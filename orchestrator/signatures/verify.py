"""Whether bytes were signed by an allowed signer, as ssh-keygen judges it."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field

from orchestrator.kernel.abi.memory_file import hold_in_memory
from orchestrator.plan.printable import make_printable
from orchestrator.signatures.model import (
    NAMESPACE,
    SignatureRefused,
    SignatureUnchecked,
    Signer,
    SignerLists,
)
from orchestrator.signatures.ssh_keygen import (
    ToolAnswer,
    find_ssh_keygen,
    run_ssh_keygen,
)
from orchestrator.values import dataclass

__all__ = ["verify_signature"]

_KRL_MAGIC = b"SSHKRL\n\0"  # OpenSSH, PROTOCOL.krl
_MOST_PRINCIPALS = 16
_MOST_SHOWN = 400  # characters of a reason
_KEY = re.compile(rb"with \S+ key (SHA256:[A-Za-z0-9+/]{43}=?)\s*$")
#: What it says of every refusal, and therefore of none.
_GENERIC = ("No principal matched.", "Could not verify signature.")
#: Debug lines that are reasons: of a certificate, only they say what is wrong with it.
_TELLING = re.compile(r"debug1: (?=.*(?:not authorized|revoked))")


def verify_signature(content: bytes, signature: bytes, lists: SignerLists) -> Signer:
    """Who of the allowed signers signed `content`, now.

    The signature has to be made for the namespace `probeplan`. Raises SignatureRefused with
    ssh-keygen's reason, and SignatureUnchecked where it cannot be asked.
    """
    tool = find_ssh_keygen()
    _require_revocation_list(lists)
    with ExitStack() as stack:

        def place(held: bytes) -> int:
            return stack.enter_context(hold_in_memory(held))

        revoked = None if lists.revoked is None else place(lists.revoked)
        question = _Question(
            tool=tool,
            content=content,
            signature=place(signature),
            signers=place(lists.signers),
            revoked=revoked,
            names={"signers": lists.signers_file, "revoked": lists.revoked_file},
        )
        return question.find_signer()


def _require_revocation_list(lists: SignerLists) -> None:
    """ssh-keygen reads what is neither a KRL nor text as lines, and passes over those with a zero
    byte: a damaged list would revoke nothing."""
    revoked = lists.revoked or b""
    if b"\0" in revoked and not revoked.startswith(_KRL_MAGIC):
        why = "is neither a revocation list (KRL) nor text"
        raise SignatureUnchecked(f"{make_printable(lists.revoked_file)} {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What ssh-keygen is asked about: descriptors of files in memory, and the bytes that are
    signed. `names`: of the two lists, their files as the policy names them."""

    tool: str
    content: bytes
    signature: int
    signers: int
    revoked: int | None
    names: Mapping[str, str] = field(default_factory=dict)

    def find_signer(self) -> Signer:
        """The first principal of the key for whom the signature is good."""
        found = self._ask("find-principals", [*self._signature(), *self._signers()])
        # `!PATTERN` excludes principals: it names none
        lines = found.output.splitlines()
        principals = [line for line in lines if line.strip() and not line.startswith(b"!")]
        if found.code != 0 or not principals:
            raise SignatureRefused(self._why_unknown(found))
        refusals = []
        for principal in principals[:_MOST_PRINCIPALS]:
            answer = self._verify(principal, with_revoked=True)
            if answer.code == 0:
                return Signer(
                    principal=make_printable(os.fsdecode(principal)), key=_read_key(answer)
                )
            refusals.append(self._why_refused(principal, answer))
        raise SignatureRefused(refusals[0])

    def _verify(self, principal: bytes, *, with_revoked: bool) -> ToolAnswer:
        arguments = ["-n", NAMESPACE, *self._signature(), *self._signers()]
        if with_revoked and self.revoked is not None:
            arguments += ["-r", _path_of(self.revoked)]
        return self._ask("verify", [*arguments, "-I", os.fsdecode(principal)])

    def _ask(self, action: str, arguments: Sequence[str]) -> ToolAnswer:
        files = [self.signature, self.signers, *([] if self.revoked is None else [self.revoked])]
        return run_ssh_keygen(self.tool, ["-v", "-Y", action, *arguments], self.content, files)

    def _signature(self) -> tuple[str, str]:
        return "-s", _path_of(self.signature)

    def _signers(self) -> tuple[str, str]:
        return "-f", _path_of(self.signers)

    # ------------------------------------------------------------ reasons

    def _why_unknown(self, answer: ToolAnswer) -> str:
        """Why no principal was found; with the key, for the one who may have to add it."""
        anyone = self._ask("check-novalidate", ["-n", NAMESPACE, *self._signature()])
        if anyone.code != 0:  # it is no signature, was changed, or is for another namespace
            return self._describe(anyone) or _GENERIC[1]
        why = self._describe(answer) or "it is not listed there"
        signers = make_printable(self.names["signers"])
        return f"{signers} does not accept the key {_read_key(anyone)}: {why}"

    def _why_refused(self, principal: bytes, answer: ToolAnswer) -> str:
        given = self._describe(answer)
        if self.revoked is not None and not given:
            # ssh-keygen gives no reason for a revoked key, nor for a list that it cannot read
            otherwise = self._verify(principal, with_revoked=False)
            if otherwise.code == 0:
                revoked = make_printable(self.names["revoked"])
                key = _read_key(otherwise)
                return f"the key {key} is revoked by {revoked}, or that is no revocation list"
        return given or _GENERIC[1]

    def _describe(self, answer: ToolAnswer) -> str:
        """Its reasons in one printable line, with the names of the files for their descriptors."""
        text = "; ".join(dict.fromkeys(_reason_lines(answer.errors.decode(errors="replace"))))
        text = text.replace(_path_of(self.signers), self.names["signers"])
        shown = make_printable(text)
        return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _reason_lines(errors: str) -> Iterator[str]:
    for line in map(str.strip, errors.splitlines()):
        reason = _TELLING.sub("", line)
        if reason and reason not in _GENERIC and not reason.startswith("debug"):
            yield reason


def _read_key(answer: ToolAnswer) -> str:
    """The fingerprint in the answer to a signature that is good."""
    found = _KEY.search(answer.output)
    if found is None:
        shown = make_printable(answer.output[:_MOST_SHOWN].decode(errors="replace"))
        raise SignatureUnchecked(f"ssh-keygen's answer has no fingerprint: {shown!r}")
    return found[1].decode()
