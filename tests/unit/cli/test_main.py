"""The command line as a whole: help, versions, exit codes, and errors of all kinds."""

import errno
import importlib
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from orchestrator import cli
from orchestrator.output.sink import OutputLost
from orchestrator.plan.findings import Finding, HostError, PlanError
from tests.support.paths import ROOT

FINDING = Finding(code="PP080", message="no such function")


def _fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def main(_args: object) -> int:
        raise error

    command = SimpleNamespace(add_arguments=lambda _parser: None, main=main)
    monkeypatch.setattr(importlib, "import_module", lambda _name: command)
    monkeypatch.delenv("PROBEPLAN_DEBUG", raising=False)
    return cli.main(["status"])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PlanError([FINDING]), 2, "<plan>: error[PP080]: no such function"),
        (HostError([FINDING]), 3, "<plan>: error[PP080]: no such function"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 2, "probeplan: 'x': No such file"),
        (PermissionError(errno.EPERM, "Not permitted", "/sys/kernel/tracing"), 3, "Not permitted"),
        (RuntimeError("boom"), 6, "internal error: RuntimeError: boom"),
        (OSError(errno.EIO, "I/O error"), 2, "writing to standard output failed: I/O error"),
        (OSError(errno.EFBIG, "File too large"), 2, "writing to standard output failed"),
        (OSError(errno.EINVAL, "Invalid"), 6, "internal error"),
        (OSError(errno.EMFILE, "Too many open files", "/proc/1"), 3, "raise it with `ulimit -n`"),
        (ImportError("libx.so: cannot open: Too many open files"), 3, "too many open files"),
        (MemoryError(), 3, "not enough memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 3, "not enough memory"),
        (BlockingIOError(errno.EAGAIN, "Try again"), 3, "no further process"),
        (RuntimeError("can't start new thread"), 3, "no further process or thread"),
        (OutputLost(errno.ENOSPC, 0), 4, "writing the output failed: the disk"),
        (RecursionError("deep"), 6, "internal error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_kind_of_error_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    """Reported on standard error in one or two lines, without a traceback."""
    assert _fails(monkeypatch, error) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_debug_adds_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PROBEPLAN_DEBUG=1 is for reports."""

    def main(_args: object) -> int:
        raise RuntimeError("boom")

    command = SimpleNamespace(add_arguments=lambda _parser: None, main=main)
    monkeypatch.setattr(importlib, "import_module", lambda _name: command)
    monkeypatch.setenv("PROBEPLAN_DEBUG", "1")
    assert cli.main(["status"]) == 6
    assert "Traceback" in capsys.readouterr().err


def _call(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_command_and_teaches_by_example() -> None:
    """`--help` alone is enough to begin."""
    done = _call("--help")
    assert done.returncode == 0
    assert all(f"    {name}" in done.stdout for name in cli.COMMANDS)
    assert "examples:" in done.stdout


def test_no_command_shows_the_help_and_fails() -> None:
    """Nothing was done, so the exit code is not 0."""
    done = _call()
    assert done.returncode == 2
    assert "examples:" in done.stderr


@pytest.mark.parametrize("args", [["lnit"], ["--nope"], ["lint", "--nope"]])
def test_wrong_usage_exits_2(args: list[str]) -> None:
    """The same code as for an invalid plan."""
    done = _call(*args)
    assert done.returncode == 2
    assert "usage: probeplan" in done.stderr


def test_version_is_printed() -> None:
    """On standard output, as scripts expect it."""
    done = _call("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("probeplan ")


def test_only_the_chosen_command_is_imported() -> None:
    """Help must not pay for numpy, nor lint for the backends."""
    code = (
        "import sys; from orchestrator.cli import main; main(['--help']); "
        "print([m for m in sys.modules if m.startswith('orchestrator.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['orchestrator.cli.messages']"


def test_the_help_of_bundle_does_not_import_what_builds_one() -> None:
    code = (
        "import sys; from orchestrator.cli import main; main(['bundle', '--help']); "
        "rooms = ('orchestrator.bundle', 'orchestrator.compile'); "
        "print([m for m in sys.modules if m.startswith(rooms)], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    """`probeplan --help | head -0`: no complaint, the exit code of SIGPIPE."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "lint", "--explain", "PP001"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "arguments", [["lint", "plans/fs/opens.yaml"], ["lint", "--explain", "PP080"], ["status"]]
)
def test_a_closed_standard_output_changes_no_exit_code(arguments: list[str]) -> None:
    """As cron and daemons may have it."""
    script = 'exec "$0" -m orchestrator.cli "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["run", "--help"], 0), (["lint", "--none-such"], 2)]
)
def test_closed_streams_change_no_exit_code_of_the_parser(arguments: list[str], code: int) -> None:
    script = 'exec "$0" -m orchestrator.cli "$@" >&- 2>&-'
    done = subprocess.run(["sh", "-c", script, sys.executable, *arguments], cwd=ROOT, check=False)
    assert done.returncode == code


def test_with_all_standard_streams_closed_no_file_takes_their_place() -> None:
    code = (
        "import os\nfrom orchestrator.cli import main\nmain(['status'])\n"
        "places = [os.readlink(f'/proc/self/fd/{number}') for number in (0, 1, 2)]\n"
        "os._exit(places != ['/dev/null'] * 3)"
    )
    script = 'exec "$0" -c "$1" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", script, sys.executable, code], check=False).returncode == 0
