"""What a workload is repeated on: launchers, the scratch folder, attached probes; all are gone at
the end."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.backends.protocol import Session
from orchestrator.check.document.fillings import fill_workload, fillings_of
from orchestrator.check.measuring.commands import CommandMaker
from orchestrator.check.measuring.repeater import Repeater
from orchestrator.check.measuring.users import WorkloadUser, find_user
from orchestrator.check.measuring.wakeups import SignalWakeup
from orchestrator.check.model import Check
from orchestrator.check.processes.launcher import Launcher
from orchestrator.run.choice import Prepared
from orchestrator.run.options import RunOptions
from orchestrator.run.signals import Signals
from orchestrator.run.standing.probes import StandingProbes, StretchRecords
from orchestrator.values import dataclass

__all__ = ["CleanupFailed", "Stage", "set_stage"]


class CleanupFailed(Exception):
    """Something of a check could not be removed from the kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A repeater, the attached probes, and for each side what makes its commands, by the number of
    operations."""

    repeater: Repeater
    probes: StandingProbes
    makers: tuple[Mapping[int, CommandMaker], ...]


@contextmanager
def set_stage(  # noqa: PLR0913  # what a measurement takes, each by its name
    sides: Sequence[Check],
    prepared: Prepared,
    signals: Signals,
    *,
    options: RunOptions,
    environment: Mapping[str, str],
    records: Callable[[Session], StretchRecords] | None = None,
    before_exit: Callable[[], object] | None = None,
) -> Iterator[Stage]:
    """Everything in place for repeats of the workload of a check, or of sides of it that differ in
    the values of its params. `records` as StandingProbes has it,
    `before_exit` as Repeater. Raises PlanError for a command that is not there, HostError where the
    plan cannot be attached; afterwards CleanupFailed."""
    workload = sides[0].workload
    user = find_user(workload.user, workload.position, environment)
    with ExitStack() as stack:
        scratch = _make_scratch(user)
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        helper = stack.enter_context(Launcher(scratch))
        measured = stack.enter_context(Launcher())
        makers = tuple(_make_makers(side, user, scratch, environment) for side in sides)
        for own in makers:
            _require_programs(own[workload.ops[0]])
        wakeup = stack.enter_context(SignalWakeup())
        probes = StandingProbes(prepared, options, root_pid=measured.pid, records=records)
        stack.enter_context(probes)
        repeater = Repeater(
            program=prepared.choice.artifact.program,
            probes=probes,
            measured=measured,
            helper=helper,
            signals=signals,
            wakeup=wakeup.fileno(),
            before_exit=before_exit
            or (probes.name_stacks if probes.key_stacks.are_of_processes else None),
        )
        yield Stage(repeater=repeater, probes=probes, makers=makers)
    if trouble := probes.faults.describe():
        raise CleanupFailed(trouble)


def _make_scratch(user: WorkloadUser) -> Path:
    """A folder of the user's, whose name is always as long: it is in arguments, which the kernel
    copies."""
    scratch = Path(tempfile.mkdtemp(prefix="probeplan-check-"))
    with contextlib.suppress(PermissionError):  # it is ours then
        os.chown(scratch, user.uid, user.gid)
    return scratch


def _make_makers(
    check: Check, user: WorkloadUser, scratch: Path, environment: Mapping[str, str]
) -> dict[int, CommandMaker]:
    def make(ops: int) -> CommandMaker:
        values = fillings_of(check, scratch=str(scratch), ops=ops)
        return CommandMaker(
            workload=fill_workload(check.workload, values),
            user=user,
            here=check.here,
            scratch=scratch,
            inherited=environment,
        )

    return {ops: make(ops) for ops in check.workload.ops}


def _require_programs(maker: CommandMaker) -> None:
    """Raise PlanError for the first command that setup cannot make: a program in the scratch folder
    may not be there yet."""
    workload = maker.workload
    server = () if workload.serve is None else (workload.serve.run,)
    witness = (workload.witness,) if workload.witness else ()
    for argv in (*workload.setup, *server, workload.run, *witness, *workload.teardown):
        if "/" not in argv[0]:
            maker.make(argv)
