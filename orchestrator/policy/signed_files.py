"""Whether the policies accept a file by its signature, FILE.sig next to it.

What is judged are bytes that were read before, never the file again: a file that is replaced
meanwhile changes nothing. Reads the signature and has ssh-keygen check it; all else is pure.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.policy.model import Policy, SignatureRules
from orchestrator.policy.wording import describe_rule, exception_hint
from orchestrator.signatures.detached import read_detached, signature_path
from orchestrator.signatures.model import (
    NAMESPACE,
    SignatureRefused,
    SignatureUnchecked,
    Signer,
)
from orchestrator.values import dataclass

__all__ = ["Acceptance", "SignatureStatus", "check_signatures", "find_signature_problems"]
__all__ += ["find_unjudged_programs"]

SignatureStatus = Literal["accepted", "absent", "shipped", "unchecked"]
SignedFile = Literal["plan", "bundle"]
#: What has no place where a signature could be: standard input, and bytes of a caller.
_NO_FILE = ("<stdin>", "<plan>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """By what a policy accepts a file: `accepted`, its signature, by `signer`; `absent`, it has
    none and needs none; `shipped`, it comes with probeplan; `unchecked`, there is no ssh-keygen,
    and it needs no signature. `policy`: the policy's file."""

    policy: str
    status: SignatureStatus
    signer: Signer | None = None


def check_signatures(
    content: bytes,
    file: str,
    policies: Sequence[Policy],
    is_shipped: Callable[[bytes], bool],
    what: SignedFile = "plan",
) -> tuple[Acceptance, ...]:
    """By what each policy that has rules for signatures accepts `content`, which was read from
    `file`. `is_shipped`: whether bytes are those of a plan that comes with probeplan; `what`: what
    the file is, for findings.

    Raises HostError where one does not: unsigned though a signature is required (PP131), refused
    (PP132), or not to be checked (PP133).
    """
    judged = list(_judge_all(content, file, policies, is_shipped, what))
    if findings := [one for one in judged if isinstance(one, Finding)]:
        raise HostError(findings)
    return tuple(one for one in judged if isinstance(one, Acceptance))


def find_unjudged_programs(file: str, policies: Sequence[Policy]) -> list[Finding]:
    """Why `policies` do not let the instructions in the bundle `file` be used: they judge its plan,
    and anyone who wrote the file could have put other instructions next to it. A policy that has
    rules for signatures says itself whether one is needed."""
    return [_unjudged(file, policy) for policy in policies if policy.signatures is None]


def find_signature_problems(
    content: bytes,
    file: str,
    policies: Sequence[Policy],
    is_shipped: Callable[[bytes], bool],
    what: SignedFile = "plan",
) -> list[Finding]:
    """Why `check_signatures` would refuse; a warning for what cannot be checked on this host, for
    which the policies need not be meant."""
    return [
        replace(one, severity="warning") if one.code == "PP133" else one
        for one in _judge_all(content, file, policies, is_shipped, what)
        if isinstance(one, Finding)
    ]


def _judge_all(
    content: bytes,
    file: str,
    policies: Sequence[Policy],
    is_shipped: Callable[[bytes], bool],
    what: SignedFile,
) -> Iterator[Acceptance | Finding]:
    judging = [(policy, policy.signatures) for policy in policies if policy.signatures is not None]
    if not judging:
        return
    path = signature_path(file)
    try:
        signature = read_detached(path) if _is_from_file(content, file) else None
    except SignatureRefused as error:
        yield from (_refused(path, policy, error, what) for policy, _ in judging)
        return
    for policy, rules in judging:
        if signature is not None:
            yield _judge_signature(_Signed(content, path, signature, what), policy, rules)
        elif not rules.required:
            yield Acceptance(policy=policy.file, status="absent")
        elif not is_shipped(content):
            yield _unsigned(content, file, policy, what, "sign it")
        elif rules.shipped == "trusted":
            yield Acceptance(policy=policy.file, status="shipped")
        else:
            yield _unsigned(content, file, policy, what, "copy it to FILE, and sign that")


def _is_from_file(content: bytes, file: str) -> bool:
    """Whether a signature of the file would cover what is judged. Without content it was built by a
    caller: a test's plan is in Python, and a signature of nothing must not be one of it."""
    return bool(content) and file not in _NO_FILE


class _Signed(NamedTuple):
    """What is judged: bytes, and the signature of them in the file `path`."""

    content: bytes
    path: str
    signature: bytes
    what: SignedFile


def _judge_signature(
    signed: _Signed, policy: Policy, rules: SignatureRules
) -> Acceptance | Finding:
    from orchestrator.signatures.verify import verify_signature  # subprocess, for signed files only

    if rules.lists is None:
        return _unchecked(signed.path, policy, rules.unreadable, exception_hint(policy))
    try:
        signer = verify_signature(signed.content, signed.signature, rules.lists)
    except SignatureRefused as error:
        return _refused(signed.path, policy, error, signed.what)
    except SignatureUnchecked as error:
        if error.missing and not rules.required:
            return Acceptance(policy=policy.file, status="unchecked")
        hint = "install openssh-client" if error.missing else exception_hint(policy)
        return _unchecked(signed.path, policy, str(error), hint)
    return Acceptance(policy=policy.file, status="accepted", signer=signer)


# ---------------------------------------------------------------- findings


def _unsigned(content: bytes, file: str, policy: Policy, what: SignedFile, cure: str) -> Finding:
    if not _is_from_file(content, file):
        why = "it does not come from a file, so that it has no signature"
        hint = "name the file, with its signature next to it"
    else:
        why = f"there is no {signature_path(file)}"
        hint = f"{cure}: ssh-keygen -Y sign -n {NAMESPACE} -f KEY FILE"
    return Finding(
        code="PP131",
        message=f"this {what} is not signed: {why}: {describe_rule(policy, 'signatures')}",
        position=Position(file=file),
        hint=f"{hint}; or {exception_hint(policy)}",
    )


def _unjudged(file: str, policy: Policy) -> Finding:
    return Finding(
        code="PP134",
        message="this bundle has programs that no policy can judge, and the policy does not say "
        f"whose signatures count: {policy.file}",
        position=Position(file=file),
        hint="give the policy `signatures` with its signers, and sign the bundle; or run its plan "
        f"from a file; or {exception_hint(policy)}",
    )


def _refused(path: str, policy: Policy, error: SignatureRefused, what: SignedFile) -> Finding:
    cure = f"have the {what}, as it is now, signed by an allowed signer"
    return Finding(
        code="PP132",
        message=f"the signature is refused: {error}: {describe_rule(policy, 'signatures')}",
        position=Position(file=path),
        hint=f"{cure}: {exception_hint(policy)}",
    )


def _unchecked(path: str, policy: Policy, why: str, hint: str) -> Finding:
    rule = describe_rule(policy, "signatures")
    return Finding(
        code="PP133",
        message=f"the signature cannot be checked: {why}: {rule}",
        position=Position(file=path),
        hint=hint,
    )
