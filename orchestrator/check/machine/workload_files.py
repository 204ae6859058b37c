"""Which files of this host a check's workload has in a machine."""

import grp
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.check.document.fillings import fill_text, fill_workload, fillings_of
from orchestrator.check.measuring.commands import CommandMaker
from orchestrator.check.measuring.users import WorkloadUser
from orchestrator.check.model import Argv, Check, MachineSpec, Workload
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.image.programs import add_program

__all__ = ["SEARCHED", "add_workload_files", "list_missed_files"]

#: A scratch folder's name in the machine is not known yet; it is as long.
_SCRATCH = Path("/tmp/probeplan-check-????????")  # noqa: S108  (of the machine)
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: A path in a message, as programs write it: between white space, quotes, colons or brackets.
_PATH = re.compile(r"(?<![\w./-])/[^\s'\"`:;,()\[\]<>\0]+")
_ROOT = WorkloadUser(uid=0, gid=0, groups=(0,), name="root", home="/root")


def add_workload_files(tree: FileTree, check: Check, spec: MachineSpec) -> None:
    """Add the programs of the workload with what they need to start, the folders and the standard
    input that it names, its user, and the `files` of the machine.

    Raises PlanError for a program that is not there, LabError for another file, or for a library.
    """
    for ops in check.workload.ops:
        _add_programs(tree, _make_maker(check, ops))
    workload = _make_maker(check, check.workload.ops[0]).workload
    _add_folder(tree, check.here)
    if workload.cwd:
        _add_folder(tree, check.here / workload.cwd)
    if (stdin := check.here / workload.stdin) != Path("/dev/null"):
        tree.add_host_path(stdin)
    if workload.user:
        _add_user(tree, workload.user)
    values = fillings_of(check, scratch=str(_SCRATCH), ops=check.workload.ops[0])
    for file in spec.files:
        path = check.here / fill_text(file, values)
        tree.add_host_path(path, keeps=_is_no_cache)
        if path.is_file():
            add_program(tree, path, SEARCHED)


def list_missed_files(tree: FileTree, output: str) -> list[str]:
    """Files of this host that the `output` of a workload names and the machine did not have."""
    named = dict.fromkeys(match.rstrip(".") for match in _PATH.findall(output))
    return [path for path in named if path not in tree and _is_file(Path(path))]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long, or not ours to see
        return False


def _make_maker(check: Check, ops: int) -> CommandMaker:
    values = fillings_of(check, scratch=str(_SCRATCH), ops=ops)
    return CommandMaker(
        workload=fill_workload(check.workload, values),
        user=_ROOT,
        here=check.here,
        scratch=_SCRATCH,
        inherited={},
    )


def _add_programs(tree: FileTree, maker: CommandMaker) -> None:
    """Programs that setup makes are not there yet: those with a path that is not."""
    for argv in _list_commands(maker.workload):
        if "/" in argv[0] and not (maker.here / argv[0]).is_file():
            continue
        add_program(tree, Path(maker.make(argv).program), SEARCHED)


def _list_commands(workload: Workload) -> Iterator[Argv]:
    yield from workload.setup
    if workload.serve is not None:
        yield workload.serve.run
    yield workload.run
    if workload.witness:
        yield workload.witness
    yield from workload.teardown


def _add_folder(tree: FileTree, folder: Path) -> None:
    """The folder alone."""
    if folder.is_dir():
        tree.add_host_path(folder, keeps=lambda _path: False)


def _is_no_cache(path: Path) -> bool:
    """Python's caches name the times of their sources, which are others in the machine."""
    return path.name != "__pycache__"


def _add_user(tree: FileTree, name: str) -> None:
    user = pwd.getpwnam(name)
    group = grp.getgrgid(user.pw_gid)
    own = f"{name}:x:{user.pw_uid}:{user.pw_gid}::{user.pw_dir}:{user.pw_shell}\n"
    root = "root:x:0:0:root:/root:/bin/sh\n"
    tree.make_file("/etc/passwd", (root if user.pw_uid else "").encode() + own.encode())
    groups = f"{group.gr_name}:x:{group.gr_gid}:\n"
    tree.make_file("/etc/group", ("root:x:0:\n" if group.gr_gid else "").encode() + groups.encode())
