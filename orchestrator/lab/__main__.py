"""`python -m orchestrator.lab`: fetch Debian's kernels, and run a command in one of them."""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.guest import GUEST_SHARE, run_in_guest
from orchestrator.lab.image.userland import GUEST_HOST
from orchestrator.lab.kernels import ALL_KERNELS, KERNELS, fetch

EXIT_LAB_FAILED = 3
EXIT_INTERRUPTED = 130
EXIT_GUEST_LOST = 125  # as other runners of commands do: above what a job itself would choose


def parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    root = argparse.ArgumentParser(
        prog="python -m orchestrator.lab",
        description="Boot stock Debian kernels under QEMU's software emulation.",
        epilog="Kernels are kept in $PROBEPLAN_CACHE/kernels (default ~/.cache/probeplan).",
    )
    commands = root.add_subparsers(dest="command", required=True)
    get = commands.add_parser("fetch", help="download and unpack kernels into the cache")
    known = f"of {', '.join(ALL_KERNELS)}"
    get.add_argument("kernels", nargs="*", metavar="KERNEL", help=known)
    get.add_argument("--update", action="store_true", help="look for a newer release")
    boot = commands.add_parser(
        "boot",
        help="boot a kernel and run a command in it",
        description=f"""Boots KERNEL and runs CMD as root, with this host's files read-only (a
        kernel of another architecture has its own programs, and them below {GUEST_HOST}) and
        --share writable as {GUEST_SHARE}. Exits with CMD's exit code; {EXIT_GUEST_LOST} when
        the machine was lost; {EXIT_LAB_FAILED} when it could not be started.""",
    )
    boot.add_argument("kernel", choices=ALL_KERNELS, metavar="KERNEL", help=known)
    boot.add_argument("argv", nargs="+", metavar="CMD", help="the command, after `--`")
    boot.add_argument("--share", type=Path, help="host folder to share (default: a temporary one)")
    boot.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")
    boot.add_argument("--cpus", type=int, default=2)
    boot.add_argument("--memory", default="2G")
    boot.add_argument("--append", default="", metavar="TEXT", help="added to the command line")
    boot.add_argument("--module", action="append", default=[], help="load this module first")
    boot.add_argument("--console", action="store_true", help="show the console and the times")
    return root


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code; see --help."""
    options = parser().parse_args(argv)
    try:
        if options.command == "fetch":
            for name in options.kernels or KERNELS:
                print(fetch(name, update=options.update).directory)
            return 0
        return _boot(options)
    except GuestLost as error:
        print(error, file=sys.stderr)
        return EXIT_GUEST_LOST
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_LAB_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _boot(options: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        own = None if options.share else tempfile.TemporaryDirectory(prefix="probeplan-share-")
        result = run_in_guest(
            fetch(options.kernel),
            options.argv,
            share=Path(stack.enter_context(own)) if own else options.share,
            timeout_s=options.timeout,
            cpus=options.cpus,
            memory=options.memory,
            extra_cmdline=options.append,
            modules=options.module,
        )
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr)
    if options.console:
        times = f"boot {result.boot_seconds:.1f} s, in all {result.wall_seconds:.1f} s"
        print(f"{result.console}{times}", file=sys.stderr)
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
