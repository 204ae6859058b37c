"""Policy files: where they are, and which of them can be trusted.

The host's policy has one place, HOST_POLICY, and no environment variable or option changes it:
anyone who can set root's environment (sudo's env_keep, a unit's drop-in) could replace it.
`--policy FILE` names further policies, which apply in addition and can only be stricter.

The files that a policy names (`signatures`) are read with it, once: those of the host's policy by
the same rule as the policy itself.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from orchestrator.plan.document.source import MAX_BYTES, read_source
from orchestrator.plan.findings import Finding, HostError, PlanError, Position
from orchestrator.policy.model import Policy, SignatureRules
from orchestrator.policy.trusted_file import (
    UntrustedFile,
    read_trusted,
    read_trusted_anywhere,
)
from orchestrator.signatures.model import SignerLists

__all__ = ["HOST_POLICY", "parse_contents", "read_contents", "read_host_policy", "read_policies"]
__all__ += ["read_policy", "renew_lists"]

HOST_POLICY = Path("/etc/probeplan/policy.yaml")
_MOST_LIST_BYTES = 16 << 20


def read_policies(further: Iterable[str | Path] = ()) -> tuple[Policy, ...]:
    """The host's policy, if there is one, and those of `further` files.

    Raises HostError for the host's, PlanError for a further one that cannot be used.
    """
    host = read_host_policy()
    own = () if host is None else (host,)
    return (*own, *(read_policy(path) for path in further))


def read_contents(further: Iterable[str | Path] = ()) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each file that `read_policies` reads, but for those that a policy
    names. Raises HostError and PlanError where one cannot be read."""
    own = _read_host(HOST_POLICY)
    if own is not None:
        yield str(HOST_POLICY), own
    for path in further:
        content, file = read_source(path)
        yield file, content


def parse_contents(contents: Iterable[tuple[str, bytes]]) -> tuple[Policy, ...]:
    """The policies in what `read_contents` read. Raises what `read_policies` does."""
    return tuple(
        _parse(content, file, is_host=file == str(HOST_POLICY)) for file, content in contents
    )


def read_policy(path: str | Path) -> Policy:
    """A policy file, regardless of its owner. Raises PlanError. Where the files that it names
    cannot be read, its rules say so: it may be meant for another host."""
    content, file = read_source(path)
    return _parse(content, file, is_host=False)


def read_host_policy(path: Path | None = None) -> Policy | None:
    """The policy of this host (`path` None: HOST_POLICY); None where there is no such file.

    Raises HostError when it or a file that it names cannot be read, is invalid, or could have been
    written by anyone but root: a policy that cannot be trusted allows nothing.
    """
    path = HOST_POLICY if path is None else path
    content = _read_host(path)
    return None if content is None else _parse(content, str(path), is_host=True)


def _read_host(path: Path) -> bytes | None:
    try:
        return read_trusted(path, MAX_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, UntrustedFile) as error:
        _refuse(path, error)


def _parse(content: bytes, file: str, *, is_host: bool) -> Policy:
    from orchestrator.policy.parse import parse_policy  # most hosts have no policy

    policy, findings = parse_policy(content, file)
    if policy is None:
        raise (HostError if is_host else PlanError)(findings)
    return _read_lists(policy, is_host=is_host)


def renew_lists(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """The same policies with the files that they name as these are now. Raises HostError where the
    host's policy names one that cannot be used."""
    return tuple(_read_lists(one, is_host=one.file == str(HOST_POLICY)) for one in policies)


def _read_lists(policy: Policy, *, is_host: bool) -> Policy:
    """The policy with the files that it names. Raises HostError for the host's."""
    rules = policy.signatures
    if rules is None:
        return policy
    if is_host:
        return replace(policy, signatures=_with_lists(rules, _read_trusted_list))
    try:
        return replace(policy, signatures=_with_lists(rules, _read_any))
    except OSError as error:
        unreadable = f"{error.filename or rules.signers} cannot be read: {error.strerror}"
        return replace(policy, signatures=replace(rules, lists=None, unreadable=unreadable))


def _with_lists(rules: SignatureRules, read: Callable[[Path], bytes]) -> SignatureRules:
    lists = SignerLists(
        signers=read(Path(rules.signers)),
        signers_file=rules.signers,
        revoked=read(Path(rules.revoked)) if rules.revoked else None,
        revoked_file=rules.revoked,
    )
    return replace(rules, lists=lists, unreadable="")


def _read_trusted_list(path: Path) -> bytes:
    """Raises HostError also where the file is missing."""
    try:
        return _bounded(read_trusted_anywhere(path, _MOST_LIST_BYTES), path)
    except (OSError, UntrustedFile) as error:
        _refuse(path, error)


def _read_any(path: Path) -> bytes:
    """A regular file. Raises OSError."""
    with open(
        path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)
    ) as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return _bounded(source.read(_MOST_LIST_BYTES + 1), path)


def _bounded(content: bytes, path: Path) -> bytes:
    if len(content) > _MOST_LIST_BYTES:
        why = f"it is larger than {_MOST_LIST_BYTES >> 20} MiB"
        raise OSError(errno.EFBIG, why, str(path))
    return content


def _refuse(path: Path, error: OSError | UntrustedFile) -> NoReturn:
    if isinstance(error, UntrustedFile):
        why, hint = str(error), error.hint
    else:
        why = f"{path} cannot be read: {error.strerror}"
        hint = "it must be a file that this user can read, e.g. with mode 0644"
    message = f"the host's policy cannot be used, so nothing may run: {why}"
    position = Position(file=str(path))
    raise HostError([Finding(code="PP120", message=message, position=position, hint=hint)])
