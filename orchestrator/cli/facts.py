"""`probeplan facts`: record what this kernel offers, to check plans against it elsewhere."""

import argparse
import os
import sys
from pathlib import Path

from orchestrator.kernel.facts import KernelFacts, facts_bytes, live_facts, load_facts
from orchestrator.kernel.recording import RecordingError

EPILOG = """\
examples:
  probeplan facts > web-01.facts.xz                  record this host
  probeplan facts -o web-01.facts.xz                 the same
  probeplan facts --show web-01.facts.xz             what a recording says
  probeplan lint --kernel web-01.facts.xz plans/     would these plans attach there?

Recording needs root for a full account: what is closed to the user is kept as unknown. A file
holds names of functions, types and tracepoints, and no data of the host; it is some 1 MB.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `facts`."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here, not stdout")
    chosen.add_argument("--show", type=Path, metavar="FILE", help="print what a recording says")


def main(args: argparse.Namespace) -> int:
    """Write the recording, or show one. Raises OSError for a file that cannot be used."""
    if args.show is not None:
        return _show(args.show)
    if args.output is None and sys.stdout.isatty():
        return _refused(
            "a recording is binary and this is a terminal",
            "probeplan facts > HOST.facts.xz, or -o HOST.facts.xz",
        )
    _record(args.output)
    return 0


def _show(path: Path) -> int:
    try:
        facts = load_facts(path)
    except RecordingError as error:
        return _refused(str(error), "record a host with `probeplan facts -o FILE`")
    print(_summary(facts))
    return 0


def _refused(problem: str, hint: str) -> int:
    print(f"probeplan facts: {problem}\n  hint: {hint}", file=sys.stderr)
    return 2


def _record(output: Path | None) -> None:
    if os.geteuid() != 0:
        note = "without root much of the kernel is closed, and recorded as unknown"
        print(f"note: {note}", file=sys.stderr)
    recording = facts_bytes(live_facts())
    if output is None:
        sys.stdout.buffer.write(recording)
    else:
        output.write_bytes(recording)


def _summary(facts: KernelFacts) -> str:
    """One line for each feature, and the counts of what plans can name."""
    lines = [
        f"{facts.source}: {facts.release} {facts.arch}",
        f"  {len(facts.symbols.names):,} functions, {len(facts.tracepoint_names()):,} tracepoints, "
        f"{len(facts.syscalls()):,} syscalls, {len(facts.btf) if facts.btf else 0:,} types",
    ]
    lines += [f"  {name:20} {f.state:8} {f.detail}" for name, f in sorted(facts.features.items())]
    return "\n".join(lines)
