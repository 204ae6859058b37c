"""`probeplan rehearse`: run a plan in a virtual machine with another kernel."""

import argparse
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from orchestrator.cli.messages import print_message
from orchestrator.cli.rehearsal_files import (
    guest_environment,
    guest_folder,
    open_outputs,
    open_stdin,
    read_given_plan,
)
from orchestrator.cli.run_options import add_run_options, choose_rows, plan_overrides
from orchestrator.lab.errors import GuestLost, LabError, tail
from orchestrator.lab.given_kernel import find_kernel
from orchestrator.lab.guest import require_host
from orchestrator.lab.rehearsal import MachineSize, RehearsalOutput, run_rehearsal
from orchestrator.lab.rehearsal_job import RehearsalJob
from orchestrator.plan.load import load_plan
from orchestrator.plan.units import UnitError, parse_duration

EPILOG = """\
examples:
  probeplan rehearse vfs-reads --kernel 6.1 -- cat /etc/hosts    on Debian's kernel 6.1
  probeplan rehearse plan.yaml --kernel debian:6.12 --out result -- make test
  probeplan rehearse plan.yaml --kernel 5.10 --cpus 4 --duration 10s
  probeplan rehearse plan.yaml --kernel /boot/vmlinuz-6.8.0-41-generic -- ./work
  probeplan rehearse plan.yaml --kernel build/vmlinux --modules build/lib/modules/6.9.0 -- ./work

Boots the kernel under QEMU's software emulation, runs the plan in it as root, and ends it. Rows (on
a terminal, without colours), JSON lines, messages, files and exit codes are those of `probeplan
run`, and come while the plan runs. Neither root nor hardware virtualisation is needed.

KERNEL: 5.10, 6.1, 6.12 or 7.x are Debian's, downloaded once into the cache ($PROBEPLAN_CACHE, or
~/.cache/probeplan). A path names a vmlinuz or vmlinux for x86_64 with virtio_pci, 9pnet_virtio, 9p
and overlay built in or among its modules, an initrd, devtmpfs and a serial console; what the plan
needs (kprobes, BPF, BTF, tracefs) as on any host.

The guest has this host's files, as far as you can read them, COMMAND's folder and your environment.
What differs:
  - What is written to files stays in the guest and is lost, except --out, --log and --folded. Files
    are behind overlayfs and 9p: functions of file systems may count more often than on a disk.
  - /dev, /proc, /run and /sys are the guest's; this host's processes and network are not there.
  - Standard input is empty, unless it is a file. Standard output and error are files there.
  - It is slow: figures of time mean nothing, and the governor may find hits expensive; --limit
    cpu=100% turns it off. The clock is this host's.

exit codes: as of `probeplan run`, and
  3  also where the machine cannot be started or was lost: QEMU ended, the kernel panicked, or it
     ran longer than --timeout. Then the end of its console is printed.
  130 Ctrl-C, 143 SIGTERM: the machine is ended at once, and with it the run
"""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BOOT_S = 300.0
_SECOND_NS = 10**9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `rehearse`: those of `run`, and the machine's."""
    parser.usage = "probeplan rehearse PLAN --kernel KERNEL [options] [-- COMMAND [ARG ...]]"
    parser.epilog = EPILOG
    add_run_options(parser)
    parser.set_defaults(run_actions=tuple(parser._actions))
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--kernel", required=True, metavar="KERNEL", help="5.10, 6.1, 6.12, 7.x, or a path"
    )
    machine.add_argument(
        "--modules", type=Path, metavar="DIR", help="the modules of a kernel given by its path"
    )
    machine.add_argument(
        "--module", action="append", default=[], metavar="NAME", help="load this module first"
    )
    machine.add_argument("--cpus", type=_count, default=2, metavar="N", help="CPUs (default: 2)")
    machine.add_argument(
        "--memory", type=_memory, default="2G", metavar="SIZE", help="memory (default: 2G)"
    )
    machine.add_argument(
        "--timeout",
        type=_seconds,
        metavar="TIME",
        help="how long the machine may take (default: 5m and the plan's duration)",
    )


def main(args: argparse.Namespace) -> int:
    """Run the plan in a machine; returns the exit code."""
    try:
        with _ended_by_signals():
            return _rehearse(args)
    except _SignalReceived as ended:
        print_message("interrupted: the machine was ended")
        return 128 + ended.number
    except GuestLost as lost:
        print_message(
            f"the machine was lost: {lost.reason}. What the run came to is unknown\n"
            f"--- end of its console ---\n{tail(lost.console)}"
        )
    except LabError as error:
        print_message(f"the machine cannot be used: {error}")
    return 3


def _rehearse(args: argparse.Namespace) -> int:
    plan = read_given_plan(args.plan)
    limits = load_plan(plan.source, **plan_overrides(args)).limits  # a wrong one boots nothing
    machine = MachineSize(
        cpus=args.cpus,
        memory=args.memory,
        timeout_s=args.timeout or _BOOT_S + (limits.duration_ns or 0) / _SECOND_NS,
        modules=args.module,
    )
    with ExitStack() as stack:
        cwd = guest_folder()
        outputs = open_outputs(args, stack)
        stdin = open_stdin(plan, stack, has_command=bool(args.workload))
        require_host()  # before a kernel is downloaded
        kernel = find_kernel(args.kernel, modules=args.modules)
        say = (lambda _text: None) if args.no_progress else print_message
        say(f"booting {kernel.release} ({args.cpus} CPUs, {args.memory})")
        job = RehearsalJob(
            words=[plan.word, *_words_of(args, outputs.words)],
            cwd=cwd,
            env=guest_environment(),
            outputs=outputs.places,
        )
        streams = RehearsalOutput(
            streams=outputs.streams,
            started=lambda boot_s: say(f"booted in {boot_s:.1f} s; the run begins"),
            folder=outputs.take_folder,
        )
        return run_rehearsal(kernel, job, streams, machine=machine, stdin=stdin)


def _words_of(args: argparse.Namespace, replaced: Mapping[str, str]) -> Iterator[str]:
    """The options and the command as `run` in the guest is to get them; `replaced` by name."""
    shown = vars(args) | {"rows": choose_rows(args)}
    for action in args.run_actions:
        value = replaced.get(action.dest) or shown.get(action.dest, action.default)
        if not action.option_strings or value == action.default or action.dest == "summary":
            continue
        flag = action.option_strings[-1]
        for one in value if isinstance(value, list) else [value]:
            text = "=".join(one) if isinstance(one, tuple) else str(one)
            yield flag if action.nargs == 0 else f"{flag}={text}"
    yield f"--summary={_summary(args.summary)}"
    if args.workload:
        yield from ("--", *args.workload)


def _summary(wanted: str) -> str:
    """As it is wanted here: in the guest nothing is a terminal."""
    if wanted != "auto":
        return wanted
    return "always" if sys.stderr is not None and sys.stderr.isatty() else "never"


def _count(text: str) -> int:
    if re.fullmatch("[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5]", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 255")


def _memory(text: str) -> str:
    """A size as QEMU takes it."""
    if re.fullmatch("[1-9][0-9]{0,6}[MG]", text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512M or 4G")


def _seconds(text: str) -> float:
    try:
        return parse_duration(text, low=_SECOND_NS) / _SECOND_NS
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# ---------------------------------------------------------------- signals


class _SignalReceived(BaseException):
    """A signal that ends the machine; no `except Exception` is to catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While entered, Ctrl-C, SIGTERM and SIGHUP raise, once: what is undone then is undone whole.
    SIGHUP stays ignored where it was, as nohup(1) wants it."""
    ending = [number for number in _ENDING if not _is_ignored_hangup(number)]

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        for one in ending:
            signal.signal(one, signal.SIG_IGN)
        raise _SignalReceived(number)

    before = {number: signal.signal(number, leave) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ignored_hangup(number: signal.Signals) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
