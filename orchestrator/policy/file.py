"""Where policies come from, and which files are to be trusted.

The host's policy stands at one place, HOST_POLICY, and no environment variable or option leads
anywhere else: whoever may set root's environment (sudo's env_keep, a unit's drop-in) could replace
it. `--policy FILE` names further policies, which hold beside it and can only make it stricter.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from orchestrator.plan.document.source import MAX_BYTES, read_source
from orchestrator.plan.findings import Finding, HostError, PlanError, Position
from orchestrator.policy.model import Policy, parse_policy

__all__ = ["HOST_POLICY", "host_policy", "in_force", "read_policy"]

HOST_POLICY = Path("/etc/probeplan/policy.yaml")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH  # an access control list shows in the group's bits


def in_force(further: Iterable[str | Path] = ()) -> tuple[Policy, ...]:
    """The host's policy, if there is one, and those of `further` files.

    Raises HostError for the host's, PlanError for a further one that cannot be used.
    """
    host = host_policy()
    mine = () if host is None else (host,)
    return (*mine, *(read_policy(path) for path in further))


def read_policy(path: str | Path) -> Policy:
    """A policy file, whoever owns it. Raises PlanError."""
    policy, findings = parse_policy(*read_source(path))
    if policy is None:
        raise PlanError(findings)
    return policy


def host_policy(path: Path | None = None) -> Policy | None:
    """The policy of this host; None where there is no such file.

    Raises HostError when it cannot be read, is invalid, or could have been written by somebody
    else than root: a policy that cannot be trusted to say what may be done allows nothing.
    """
    path = HOST_POLICY if path is None else path
    try:
        content = _trusted_content(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "it must be a file that this user may read, e.g. with mode 0644"
        _refuse(path, f"{path} cannot be read: {error.strerror}", hint)
    policy, findings = parse_policy(content, str(path))
    if policy is None:
        raise HostError(findings)
    return policy


def _trusted_content(path: Path) -> bytes:
    """What the file holds that was looked at: not one that is put in its place meanwhile."""
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
        _refuse(path, f"{path} is no regular file", "put the policy itself there")
    for what, one in ((path, status), (path.parent, path.parent.stat())):
        if one.st_uid != 0:
            why = f"{what} belongs to user {one.st_uid}, not to root"
            _refuse(path, why, f"chown root: {what}")
        if one.st_mode & _OTHERS_WRITE:
            mode = stat.S_IMODE(one.st_mode)
            why = f"{what} may be written by others (mode {mode:04o})"
            _refuse(path, why, f"chmod go-w {what}")


def _refuse(path: Path, why: str, hint: str) -> NoReturn:
    message = f"the host's policy cannot be used, so nothing may be run: {why}"
    place = Position(file=str(path))
    raise HostError([Finding(code="PP120", message=message, position=place, hint=hint)])
