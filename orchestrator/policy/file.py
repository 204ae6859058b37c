"""Policy files: where they are, and which of them can be trusted.

The host's policy has one place, HOST_POLICY, and no environment variable or option changes it:
anyone who can set root's environment (sudo's env_keep, a unit's drop-in) could replace it.
`--policy FILE` names further policies, which apply in addition and can only be stricter.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from orchestrator.plan.document.source import MAX_BYTES, read_source
from orchestrator.plan.findings import Finding, HostError, PlanError, Position
from orchestrator.policy.model import Policy, parse_policy

__all__ = ["HOST_POLICY", "read_host_policy", "read_policies", "read_policy"]

HOST_POLICY = Path("/etc/probeplan/policy.yaml")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH  # an access control list shows in the group's bits


def read_policies(further: Iterable[str | Path] = ()) -> tuple[Policy, ...]:
    """The host's policy, if there is one, and those of `further` files.

    Raises HostError for the host's, PlanError for a further one that cannot be used.
    """
    host = read_host_policy()
    own = () if host is None else (host,)
    return (*own, *(read_policy(path) for path in further))


def read_policy(path: str | Path) -> Policy:
    """A policy file, regardless of its owner. Raises PlanError."""
    policy, findings = parse_policy(*read_source(path))
    if policy is None:
        raise PlanError(findings)
    return policy


def read_host_policy(path: Path | None = None) -> Policy | None:
    """The policy of this host (`path` None: HOST_POLICY); None where there is no such file.

    Raises HostError when it cannot be read, is invalid, or could have been written by anyone but
    root: a policy that cannot be trusted allows nothing.
    """
    path = HOST_POLICY if path is None else path
    try:
        content = _read_trusted(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "it must be a file that this user can read, e.g. with mode 0644"
        _refuse(path, f"{path} cannot be read: {error.strerror}", hint)
    policy, findings = parse_policy(content, str(path))
    if policy is None:
        raise HostError(findings)
    return policy


def _read_trusted(path: Path) -> bytes:
    """The content of the very file that was checked, not of one put in its place meanwhile."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_trust(path, os.fstat(file))
        with os.fdopen(file, "rb", closefd=False) as source:
            return source.read(MAX_BYTES + 1)
    finally:
        os.close(file)


def _check_trust(path: Path, status: os.stat_result) -> None:
    """Raise HostError unless root alone can have written the file (`status`) and put it there."""
    if not stat.S_ISREG(status.st_mode):
        _refuse(path, f"{path} is not a regular file", "put the policy itself there")
    for checked, its_status in ((path, status), (path.parent, path.parent.stat())):
        if its_status.st_uid != 0:
            why = f"{checked} belongs to user {its_status.st_uid}, not to root"
            _refuse(path, why, f"chown root: {checked}")
        if its_status.st_mode & _OTHERS_WRITE:
            mode = stat.S_IMODE(its_status.st_mode)
            why = f"{checked} is writable by users other than root (mode {mode:04o})"
            _refuse(path, why, f"chmod go-w {checked}")


def _refuse(path: Path, why: str, hint: str) -> NoReturn:
    message = f"the host's policy cannot be used, so nothing may run: {why}"
    position = Position(file=str(path))
    raise HostError([Finding(code="PP120", message=message, position=position, hint=hint)])
