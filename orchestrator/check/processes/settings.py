"""What a process of a workload is started with. Small: the launcher's process imports it."""

from typing import NamedTuple

__all__ = ["ProcessSettings"]


class ProcessSettings(NamedTuple):
    """`program`: the file to execute, `argv` its arguments with its name first. `env` is the whole
    environment. `uid`, `gid` and `groups`: whose process it is. `cpu` None: any. `steady`: without
    randomised addresses and huge pages. `stdin`: a path."""

    program: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    stdin: str
    uid: int
    gid: int
    groups: list[int]
    cpu: int | None
    steady: bool
