"""`python -m bench [NAME ...]`: take the figures and print them."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.figures import Figure
from bench.report import as_json, missed, table
from bench.setting import NotPossible, Setting
from bench.table import TABLE

_MEMORY = Path("/dev/shm")  # noqa: S108  # tmpfs, for its speed; the directory in it is ours alone


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0; 1 with --strict when a target is missed; 2 usage; 3 when a benchmark could not
    run."""
    args = _parser().parse_args(words)
    if args.list:
        print("\n".join(f"{name:14}{row.summary}" for name, row in TABLE.items()))
        return 0
    with _setting(args) as setting:
        found = {name: _run(name, setting) for name in args.names or TABLE}
    print(table(found))
    if args.json:
        Path(args.json).write_text(as_json(found))
    if any(isinstance(figures, str) for figures in found.values()):
        return 3
    return 1 if args.strict and missed(found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", metavar="NAME", nargs="*", type=_known, help="benchmarks to run; default: all"
    )
    parser.add_argument("--list", action="store_true", help="list the benchmarks and exit")
    parser.add_argument("--rounds", type=_positive, default=3, help="rounds per tool; default 3")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="fraction of the full work; default 1"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures and samples there")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    return parser


def _known(name: str) -> str:
    if name not in TABLE:
        raise argparse.ArgumentTypeError(f"there is no {name!r}, only {', '.join(TABLE)}")
    return name


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rounds")
    return int(text)


@contextlib.contextmanager
def _setting(args: argparse.Namespace) -> Iterator[Setting]:
    cpus = sorted(os.sched_getaffinity(0))
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="probeplan-bench-", dir=place) as directory:
        yield Setting(
            directory=Path(directory),
            rounds=args.rounds,
            scale=args.scale,
            load_cpu=cpus[0],
            reader_cpu=cpus[-1],
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )


def _run(name: str, setting: Setting) -> list[Figure] | str:
    row = TABLE[name]
    if row.root and os.geteuid() != 0:
        return "it needs root"
    try:
        return row.run(setting)
    except NotPossible as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main())
