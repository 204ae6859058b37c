"""Features that only a trial shows: a small program is loaded, and let go at once."""

import errno
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.kernel.btf import Btf, BtfError
from orchestrator.kernel.feature import Feature, no, unknown, yes
from orchestrator.kernel.feature_files import Test
from orchestrator.kernel.tree import LiveTree, Tree

if TYPE_CHECKING:
    from orchestrator.kernel.abi.bpf import Trial

_BTF = "sys/kernel/btf/vmlinux"
_FENTRY_FUNCTIONS = ("bpf_fentry_test1", "vfs_read", "do_nanosleep")
_LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib")

# Each trial as the bpf wrappers name it: what was tried, and the cure where it fails.
_TRIALS = {
    "bpf": ("a program loaded", "needs CONFIG_BPF_SYSCALL=y, CAP_BPF and CAP_PERFMON"),
    "raw_tracepoint": ("a program loaded", "perf tracepoints are used instead"),
    "ringbuf": ("a ring buffer was made", "the bcc backend needs it: use --backend tracefs"),
    "mmap_array": ("a map that can be mapped was made", "maps are read by system call instead"),
    "fetch_atomics": ("a program with them loaded", "caps may overshoot; what is over is trimmed"),
    "jiffies64": ("a program that calls it loaded", "the clock is read at each event instead"),
}


def trial(name: str) -> Test:
    """The answer of the bpf wrappers' own trial `can_NAME()`."""

    def test(tree: Tree) -> Feature:
        from orchestrator.kernel.abi import bpf

        refused = _not_tried(tree)
        if refused is not None:
            return refused
        attempt: Callable[[], Trial] = getattr(bpf, f"can_{name}")
        return _feature(attempt(), *_TRIALS[name])

    return test


def fentry(tree: Tree) -> Feature:
    """Whether a program attaches to a function's entry by its BTF id."""
    from orchestrator.kernel.abi import bpf

    refused = _not_tried(tree)
    if refused is not None:
        return refused
    try:
        btf = Btf.from_bytes(tree.read(_BTF))
    except (OSError, BtfError) as error:
        return no(f"needs BTF, which cannot be read: /{_BTF}: {error}")
    function = next(filter(None, map(btf.function, _FENTRY_FUNCTIONS)), None)
    if function is None:
        return unknown(f"BTF has none of {', '.join(_FENTRY_FUNCTIONS)} to try it on")
    return _feature(
        bpf.can_fentry(function.btf_id),
        f"a program attached to {function.name}",
        "dynamic events are used instead",
    )


def perf_events(tree: Tree) -> Feature:
    """Whether perf_event_open(2) opens an event that does nothing."""
    from orchestrator.kernel.abi import perf

    refused = _not_tried(tree)
    if refused is not None:
        return refused
    try:
        os.close(perf.open_event(perf.TYPE_SOFTWARE, perf.SOFTWARE_DUMMY))
    except OSError as error:
        code = error.errno or 0
        cure = perf.CLOSED if code == errno.EACCES else "needs CONFIG_PERF_EVENTS=y, CAP_PERFMON"
        return no(f"tried, and refused: {errno.errorcode.get(code, code)}; {cure}")
    return yes("an event was opened")


def bcc(tree: Tree) -> Feature:
    """Whether Python finds bcc, and its library is there; neither is loaded."""
    cure = "apt install python3-bpfcc (Debian, Ubuntu), dnf install python3-bcc (Fedora)"
    spec = find_spec("bcc")
    if spec is None:
        return no(f"Python finds no module bcc: {cure}; a venv needs --system-site-packages")
    root = tree.root if isinstance(tree, LiveTree) else Path("/")
    if any((root / folder / "libbcc.so.0").exists() for folder in _LIBRARY_FOLDERS):
        return yes(f"Python module {spec.origin}, and libbcc.so.0")
    return no(f"Python module {spec.origin}, but no libbcc.so.0: {cure}")


def _not_tried(tree: Tree) -> Feature | None:
    """Trials ask the kernel that runs, whatever the tree is: only "/" speaks of that one."""
    if isinstance(tree, LiveTree) and tree.root == Path("/"):
        return None
    return unknown("only the kernel that runs can be tried")


def _feature(answer: "Trial", success: str, cure: str) -> Feature:
    if answer.state == "yes":
        return yes(success)
    return Feature(state=answer.state, detail=f"tried, and refused: {answer.reason}; {cure}")
