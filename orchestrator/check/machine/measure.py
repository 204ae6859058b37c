"""Measuring a check in the deterministic machine: one boot, which is stored before the
first repeat, and from there on each seed."""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from orchestrator.backends import compiled
from orchestrator.check.document.fillings import fill_text, fillings_of
from orchestrator.check.machine.answer import UnreadableAnswer, read_answer
from orchestrator.check.machine.job import JOB_FILE, MachineJob, pack_job
from orchestrator.check.machine.kernel_facts import read_machine_facts
from orchestrator.check.machine.workload_files import add_workload_files, list_missed_files
from orchestrator.check.measurement import Measurement, WorkloadTrouble
from orchestrator.check.measuring.environment import find_commit
from orchestrator.check.measuring.measure import RepeatProgress, prepare_check
from orchestrator.check.measuring.repeater import Interrupted
from orchestrator.check.model import Check, MachineSpec
from orchestrator.lab.errors import LabError
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.machine import MachineRun
from orchestrator.lab.machine_command import MachineSettings, read_qemu_version
from orchestrator.lab.machine_image import RamDisk, add_disk, make_machine_tree
from orchestrator.lab.machine_kernel import MachineKernel, find_machine_kernel
from orchestrator.lab.machine_process import MachineCancelled
from orchestrator.lab.snapshot.stored_machine import store_machine
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.policy.model import Policy
from orchestrator.run.choice import Prepared
from orchestrator.run.signals import Signals
from orchestrator.values import dataclass

__all__ = ["PACKAGES", "PROGRAM", "PreparedMachine", "measure_in_machine", "prepare_machine"]

#: What a machine's Python runs, and the packages that it has.
PROGRAM = ("-m", "orchestrator.check.machine.guest_process")
PACKAGES = ("orchestrator", "yaml")
# Of this host's time: for the boot and the answer, and for each second of the workload's timeout,
# which is the machine's time (measured: 0.7 to 3 of this host's, on a busy host).
_BOOT_S, _PER_SECOND = 300.0, 10.0
_MOST_MISSED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedMachine:
    """A check ready to be measured in a machine. `base`: its files without the workload, `key`:
    what its figures depend on besides the workload."""

    check: Check
    spec: MachineSpec
    prepared: Prepared
    base: FileTree
    settings: MachineSettings
    key: str


def prepare_machine(
    check: Check, policies: Sequence[Policy], notify: Callable[[str], None]
) -> PreparedMachine:
    """Find the kernel, collect the machine's files, record what the kernel supports, and prepare
    the plan for it. Raises PlanError, and HostError where this host cannot make the machine or it
    was lost."""
    assert check.machine is not None
    spec = check.machine
    if check.plan.outstanding:
        message = "what is outstanding at the end is not measured in a machine: it has no numpy"
        raise PlanError([Finding(code="PP230", message=message, position=spec.position)])
    try:
        kernel = find_machine_kernel(_fill_kernel(check, spec), check.here)
        settings = MachineSettings(vmlinux=kernel.image, memory=spec.memory)
        base = _make_base(spec, kernel)
        facts = read_machine_facts(base, kernel, settings, notify)
        key = _make_key(spec, kernel, base)
    except LabError as error:
        raise _refuse(spec, error) from None
    workload = replace(check.workload, repeats=1)
    prepared = prepare_check(
        replace(check, workload=workload), facts, policies, backend=compiled.NAME
    )
    return PreparedMachine(
        check=check, spec=spec, prepared=prepared, base=base, settings=settings, key=key
    )


def _fill_kernel(check: Check, spec: MachineSpec) -> str:
    return fill_text(spec.kernel, fillings_of(check, scratch="", ops=check.workload.ops[0]))


def _make_base(spec: MachineSpec, kernel: MachineKernel) -> FileTree:
    base = make_machine_tree(PROGRAM, PACKAGES)
    if spec.disk:
        if kernel.modules is None:
            raise LabError(
                f"a disk needs the modules brd and ext4, and there is no modules.builtin next to "
                f"{kernel.image}: put the kernel into the folder of its modules"
            )
        add_disk(base, RamDisk(size=spec.disk), kernel.modules)
    return base


def _make_key(spec: MachineSpec, kernel: MachineKernel, base: FileTree) -> str:
    return (
        f"qemu {read_qemu_version()}, kernel {kernel.identity}, image {base.digest()[:40]}, "
        f"memory {spec.memory}, disk {spec.disk}, stored, seeds {spec.seeds}"
    )


def measure_in_machine(
    machine: PreparedMachine,
    signals: Signals,
    *,
    environment: Mapping[str, str],
    on_repeat: Callable[[RepeatProgress], None] = lambda _progress: None,
) -> Measurement:
    """The repeats of all seeds, of one boot. Where the workload fails, there are no further
    ones.

    Raises Interrupted; PlanError; HostError where the plan cannot be attached in the machine, or
    the machine was lost.
    """
    try:
        tree = _make_tree(machine, environment)
        measured: list[Measurement] = []
        with closing(_run_seeds(machine, tree.pack(), signals)) as runs:
            for run in runs:
                measured.append(_read_measurement(machine, run))
                _report_repeats(machine, measured, on_repeat)
                if measured[-1].trouble is not None:
                    break
    except MachineCancelled:
        assert signals.received is not None
        raise Interrupted(signals.received) from None
    except (LabError, UnreadableAnswer) as error:
        raise _refuse(machine.spec, error) from None
    return _join(machine, measured, tree)


def _make_tree(machine: PreparedMachine, environment: Mapping[str, str]) -> FileTree:
    check, artifact = machine.check, machine.prepared.choice.artifact
    tree = machine.base.copy()
    add_workload_files(tree, check, machine.spec)
    passed = {name: environment[name] for name in check.workload.pass_env if name in environment}
    job = MachineJob(
        check=replace(check, workload=replace(check.workload, repeats=1), source=b""),
        plan=machine.prepared.plan,
        artifact=artifact,
        code=compiled.compile_artifact(artifact),
        environment=passed,
    )
    tree.make_file(JOB_FILE, pack_job(job))
    return tree


def _run_seeds(
    machine: PreparedMachine, image: bytes, signals: Signals
) -> Generator[MachineRun, None, None]:
    """A run for each seed; one alone where the machine ends before it can be stored, because the
    plan cannot be attached, or a warm-up fails."""

    def is_cancelled() -> bool:
        return signals.received is not None

    limit_s = _limit_time(machine.check)
    with store_machine(machine.settings, image, limit_s, is_cancelled) as stored:
        if stored.early is not None:
            yield stored.early
            return
        for seed in range(1, machine.spec.seeds + 1):
            yield stored.go_on(seed, limit_s, is_cancelled)


def _read_measurement(machine: PreparedMachine, run: MachineRun) -> Measurement:
    try:
        return read_answer(run.result)
    except (PlanError, HostError) as error:
        place = machine.check.workload.position
        raise type(error)([replace(one, position=place) for one in error.findings]) from None


def _limit_time(check: Check) -> float:
    """Seconds of this host after which the machine is given up."""
    workload = check.workload
    commands = (workload.warmup + 1) * len(workload.ops) * (
        1 + len(workload.setup) + len(workload.teardown)
    ) + bool(workload.witness)
    return _BOOT_S + commands * workload.timeout_ns / 1e9 * _PER_SECOND


def _report_repeats(
    machine: PreparedMachine,
    measured: Sequence[Measurement],
    on_repeat: Callable[[RepeatProgress], None],
) -> None:
    total = machine.spec.seeds * len(machine.check.workload.ops)
    before = sum(len(one.repeats) for one in measured[:-1])
    for number, repeat in enumerate(measured[-1].repeats, before + 1):
        on_repeat(RepeatProgress(number=number, total=total, is_warmup=False, repeat=repeat))


def _join(machine: PreparedMachine, measured: Sequence[Measurement], tree: FileTree) -> Measurement:
    """One measurement of all boots. What is not known in the machine is filled in."""
    from orchestrator.version import installed_version

    last = measured[-1]
    environment = replace(
        last.environment,
        probeplan=installed_version() or "0",
        backend=compiled.NAME,
        commit=find_commit(machine.check.here),
        machine=machine.key,
    )
    return replace(
        last,
        repeats=tuple(repeat for one in measured for repeat in one.repeats),
        environment=environment,
        trouble=last.trouble and _explain_trouble(last.trouble, tree),
    )


def _explain_trouble(trouble: WorkloadTrouble, tree: FileTree) -> WorkloadTrouble:
    """With what it may be for: the machine has few of this host's files."""
    missed = ", ".join(list_missed_files(tree, trouble.message)[:_MOST_MISSED])
    hint = f"the machine did not have {missed}" if missed else "the machine has few files"
    text = f"{trouble.message.rstrip()}{os.linesep}({hint}: name in machine.files what it needs)"
    return replace(trouble, message=text)


def _refuse(spec: MachineSpec, error: Exception) -> HostError:
    message = f"the machine: {error}"
    return HostError([Finding(code="PP096", message=message, position=spec.position)])
