"""`probeplan facts`: record what this kernel supports, to check plans against it elsewhere."""

import argparse
import lzma
import os
import sys
from pathlib import Path

from orchestrator.cli.messages import print_error, print_note
from orchestrator.kernel.facts import KernelFacts, facts_bytes, live_facts
from orchestrator.kernel.recorded.profiles import load_named
from orchestrator.kernel.recording import RecordingError

EPILOG = """\
examples:
  probeplan facts -o web-01.facts.xz                 record this kernel
  probeplan facts > web-01.facts.xz                  the same
  probeplan facts --quick -o web-01.facts.xz         with little CPU time, on a busy host
  probeplan facts --show web-01.facts.xz             summarize a recording
  probeplan lint plans/ --kernel web-01.facts.xz     would these plans attach there?

Record as root: what the user cannot read is recorded as unknown. A recording holds the names of
functions, types and tracepoints and no other data of the host. It takes 1 to 2 MB.

exit codes: 0 done; 2 the file cannot be read or written
"""


#: xz's presets.
_QUICK, _SMALLEST = 1, 9 | lzma.PRESET_EXTREME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `facts`."""
    parser.epilog = EPILOG
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to FILE (default: stdout)"
    )
    action.add_argument(
        "--show",
        metavar="FILE",
        help="summarize a recording or a profile (debian:6.1) instead",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="pack less: a fifth of the CPU time, for a file larger by a fifth",
    )


def main(args: argparse.Namespace) -> int:
    """Write the recording, or show one. Raises OSError for a file that cannot be used."""
    if args.show is not None:
        return _show_recording(args.show)
    if args.output is None and sys.stdout is None:
        return _refuse("standard output is closed", "give the recording a file: -o FILE")
    if args.output is None and sys.stdout.isatty():
        return _refuse(
            "a recording is binary and this is a terminal",
            "probeplan facts > HOST.facts.xz, or -o HOST.facts.xz",
        )
    _write_recording(args.output, _QUICK if args.quick else _SMALLEST)
    return 0


def _show_recording(name: str) -> int:
    try:
        facts = load_named(name)
    except RecordingError as error:
        return _refuse(str(error), "record a host with `probeplan facts -o FILE`")
    print(_summarize(facts))
    return 0


def _refuse(problem: str, hint: str) -> int:
    print_error(f"probeplan facts: {problem}\n  hint: {hint}")
    return 2


def _write_recording(output: Path | None, preset: int) -> None:
    if os.geteuid() != 0:
        print_note("without root much of the kernel cannot be read and is recorded as unknown")
    recording = facts_bytes(live_facts(), preset)
    if output is None:
        sys.stdout.buffer.write(recording)
    else:
        output.write_bytes(recording)


def _summarize(facts: KernelFacts) -> str:
    """The numbers of what plans can name, and a line for each feature."""
    lines = [
        f"{facts.source}: {facts.release} {facts.arch}",
        f"  {len(facts.symbols.names):,} functions, {len(facts.tracepoint_names()):,} tracepoints, "
        f"{len(facts.syscalls()):,} syscalls, {len(facts.btf) if facts.btf else 0:,} types",
        f"  build id {facts.build_id or 'unknown'}, types {_describe_types(facts)}",
    ]
    lines += [f"  {name:20} {f.state:8} {f.detail}" for name, f in sorted(facts.features.items())]
    return "\n".join(lines)


def _describe_types(facts: KernelFacts) -> str:
    """Whether they are all of the kernel's."""
    if facts.btf is None:
        return "unknown"
    if facts.trimmed is None:
        return "perhaps trimmed: the recording does not say"
    return "trimmed: some were left out" if facts.trimmed else "complete"
