"""Whose processes a workload's are: by default those of the user who called sudo."""

import os
import pwd
from collections.abc import Mapping

from orchestrator.plan.findings import Finding, PlanError, Position
from orchestrator.values import dataclass

__all__ = ["WorkloadUser", "find_user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadUser:
    """A user: numbers, name and home folder."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str


def find_user(
    wanted: str, position: Position, environment: Mapping[str, str] = os.environ
) -> WorkloadUser:
    """The user named `wanted`; "": who called sudo, else whose process this is. Raises PlanError
    for one that does not exist, or that this process may not become."""
    if wanted:
        try:
            entry = pwd.getpwnam(wanted)
        except KeyError:
            raise _cannot_become(f"there is no user {wanted!r}", position) from None
        return _with_groups(entry, position)
    sudo = environment.get("SUDO_UID", "")
    uid = int(sudo) if os.getuid() == 0 and sudo.isdigit() else os.getuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a number without a name, as in containers
        groups = tuple(os.getgroups())
        return WorkloadUser(uid=uid, gid=os.getgid(), groups=groups, name=str(uid), home="/")
    return _with_groups(entry, position)


def _with_groups(entry: pwd.struct_passwd, position: Position) -> WorkloadUser:
    if os.getuid() not in (0, entry.pw_uid):
        raise _cannot_become(f"only root can run it as {entry.pw_name!r}", position)
    return WorkloadUser(
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        name=entry.pw_name,
        home=entry.pw_dir,
    )


def _cannot_become(message: str, position: Position) -> PlanError:
    hint = "name a user of this host in workload.user, or leave it out"
    return PlanError([Finding(code="PP092", message=message, position=position, hint=hint)])
