"""What a rehearsal's machine executes: a shell script that enters the user's place and environment
and becomes `probeplan run`. Every word in it is quoted."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.lab.guest import GUEST_SHARE
from orchestrator.values import dataclass

#: Folders that are the guest's: nothing of the host's is in them.
OWN_FOLDERS = tuple(map(Path, ("/dev", "/proc", "/run", "/sys")))
BROUGHT_BACK, STANDARD_INPUT, SCRIPT = "brought-back", "stdin", "rehearsal"
#: Not -m, which would look for the program in the command's folder first.
_START = (
    "import sys; sys.path[:] = [sys.argv.pop(1), *filter(None, sys.path)]; "
    "from orchestrator.cli import main; sys.argv[0] = 'probeplan'; sys.exit(main())"
)
_PROGRAM_FOLDER = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlace:
    """Where the run in the guest writes `name` of its outputs: at `place`, which is then the same
    in its messages, or only in the share (None)."""

    name: str
    place: Path | None = None
    is_folder: bool = False

    @property
    def guest_path(self) -> Path:
        """The file or folder in the guest."""
        return self.place or GUEST_SHARE / BROUGHT_BACK / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalJob:
    """`words`: those of `probeplan run`, after `run`. `cwd` and `env` are the command's."""

    words: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    outputs: Sequence[OutputPlace] = ()


def is_in_guest(path: Path) -> bool:
    """Whether the guest has this host's file at the absolute `path`."""
    return not any(path == own or path.is_relative_to(own) for own in OWN_FOLDERS)


def job_script(job: RehearsalJob) -> str:
    """The script. It exits with the run's exit code, or 126 where the run cannot be started."""
    lines = [f"mkdir -p {_quoted(GUEST_SHARE / BROUGHT_BACK)} || exit 126"]
    for output in job.outputs:
        lines += _bind_output(output)
    lines.append("echo rehearsal >/proc/sys/kernel/hostname")
    lines.append(f"cd {_quoted(job.cwd)} || exit 126")
    lines.append(f"exec {shlex.join(_command(job))} <{_quoted(GUEST_SHARE / STANDARD_INPUT)}")
    return "\n".join([*lines, ""])


def _command(job: RehearsalJob) -> Iterator[str]:
    yield from ("env", "-i")
    # A name that begins with a dash would be an option of env(1).
    yield from (f"{name}={value}" for name, value in job.env.items() if name[0] != "-")
    yield from (sys.executable, "-c", _START, str(_PROGRAM_FOLDER), "run", *job.words)


def _bind_output(output: OutputPlace) -> Iterator[str]:
    """Make the place and put the share's file over it, so that it is outside of the guest."""
    if output.place is None:
        return
    shared, place = GUEST_SHARE / BROUGHT_BACK / output.name, output.place
    yield f"mkdir -p {_quoted(place if output.is_folder else place.parent)} || exit 126"
    if output.is_folder:
        yield f"mkdir -m 700 {_quoted(shared)} || exit 126"
    else:
        yield f"(umask 077; : >{_quoted(shared)} && : >>{_quoted(place)}) || exit 126"
    yield f"mount --bind {_quoted(shared)} {_quoted(place)} || exit 126"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
