"""Detects features by a trial: a small program is loaded, and closed at once."""

import errno
import os
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.kernel.btf_types import BtfError
from orchestrator.kernel.feature import Feature, no, unknown, yes
from orchestrator.kernel.feature_files import Test, detect_btf
from orchestrator.kernel.tree import LiveTree, Tree

if TYPE_CHECKING:
    from orchestrator.kernel.abi.bpf import Trial

_BTF = "sys/kernel/btf/vmlinux"
_FENTRY_FUNCTIONS = ("bpf_fentry_test1", "vfs_read", "do_nanosleep")
_ONE_BY_ONE = "the functions of a glob are attached one by one instead"
_LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib")

_BCC_PACKAGES = "apt install python3-bpfcc (Debian, Ubuntu), dnf install python3-bcc (Fedora)"
#: Where distributions put the module: Debian's for every Python 3, Fedora's by version.
_SYSTEM_MODULES = (
    "usr/lib/python3/dist-packages/bcc",
    "usr/lib/python3.*/site-packages/bcc",
    "usr/lib64/python3.*/site-packages/bcc",
)

TrialName = Literal["bpf", "raw_tracepoint", "ringbuf", "mmap_array", "fetch_atomics", "jiffies64"]
#: What is tried, and the cure where it fails.
_TRIALS: Mapping[TrialName, tuple[str, str]] = {
    "bpf": ("a program loaded", "needs CONFIG_BPF_SYSCALL=y, CAP_BPF and CAP_PERFMON"),
    "raw_tracepoint": ("a program loaded", "perf tracepoints are used instead"),
    "ringbuf": ("a ring buffer was made", "the bcc backend needs it: use --backend tracefs"),
    "mmap_array": ("a map that can be mapped was made", "maps are read by system call instead"),
    "fetch_atomics": (
        "a program with them loaded",
        "caps may be exceeded; excess records are trimmed",
    ),
    "jiffies64": ("a program that calls it loaded", "the clock is read at each event instead"),
}


def trial_feature(name: TrialName) -> Test:
    """The feature that a trial of the bpf wrappers, `can_NAME()`, shows."""

    def test(tree: Tree) -> Feature:
        refused = _not_tried(tree)
        return refused if refused is not None else _feature_from_trial(_try(name), *_TRIALS[name])

    return test


def _try(name: TrialName) -> "Trial":
    from orchestrator.kernel.abi import bpf

    match name:
        case "bpf":
            return bpf.can_bpf()
        case "raw_tracepoint":
            return bpf.can_raw_tracepoint()
        case "ringbuf":
            return bpf.can_ringbuf()
        case "mmap_array":
            return bpf.can_mmap_array()
        case "fetch_atomics":
            return bpf.can_fetch_atomics()
        case "jiffies64":
            return bpf.can_jiffies64()


def detect_fentry(tree: Tree) -> Feature:
    """Whether a program attaches to a function's entry by its BTF id."""
    from orchestrator.kernel.abi import bpf

    refused = _not_tried(tree)
    if refused is not None:
        return refused
    try:
        from orchestrator.kernel.btf import Btf  # only where it is asked for

        btf = Btf.from_bytes(tree.read(_BTF))
    except OSError:
        types = detect_btf(tree)
        return Feature(state=types.state, detail=f"needs BTF: {types.detail}")
    except BtfError as error:
        return no(f"needs BTF, which cannot be used: /{_BTF}: {error}")
    function = next(filter(None, map(btf.function, _FENTRY_FUNCTIONS)), None)
    if function is None:
        return unknown(f"BTF has none of {', '.join(_FENTRY_FUNCTIONS)} to try it on")
    return _feature_from_trial(
        bpf.can_fentry(function.btf_id),
        f"a program attached to {function.name}",
        "dynamic events are used instead",
    )


def detect_kprobe_multi(tree: Tree) -> Feature:
    """Whether one link attaches a program to many kernel functions."""
    from orchestrator.kernel.abi import bpf_links

    refused = _not_tried(tree)
    if refused is not None:
        return refused
    cure = f"{_ONE_BY_ONE} (needs Linux 5.18 and CONFIG_FPROBE=y)"
    return _feature_from_trial(bpf_links.can_kprobe_multi(), "a link was made", cure)


def detect_uprobe_multi(tree: Tree) -> Feature:
    """Whether one link attaches a program to many places in a file."""
    from orchestrator.kernel.abi import bpf_links

    refused = _not_tried(tree)
    if refused is not None:
        return refused
    cure = f"{_ONE_BY_ONE} (needs Linux 6.6 and CONFIG_UPROBES=y)"
    success = "a link to a directory was refused as such"
    return _feature_from_trial(bpf_links.can_uprobe_multi(), success, cure)


def detect_uprobe_multi_process(tree: Tree) -> Feature:
    """Whether such a link can be in one process alone."""
    from orchestrator.kernel.abi import bpf_links

    refused = _not_tried(tree)
    if refused is not None:
        return refused
    cure = f"where one process is the target, {_ONE_BY_ONE} (needs Linux 6.10)"
    success = "a link to process -1 was refused as such"
    return _feature_from_trial(bpf_links.can_uprobe_multi_process(), success, cure)


def detect_perf_events(tree: Tree) -> Feature:
    """Whether perf_event_open(2) can open an event (a dummy)."""
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


def detect_hardware_counters(tree: Tree) -> Feature:
    """Whether the processor counts events (its cycles), by opening one."""
    from orchestrator.kernel.abi import perf

    refused = _not_tried(tree)
    if refused is not None:
        return refused
    try:
        os.close(perf.open_event(perf.TYPE_HARDWARE, perf.HARDWARE_CYCLES))
    except OSError as error:
        code = error.errno or 0
        shown = f"perf_event_open: {errno.errorcode.get(code, code)}"
        if code in (errno.EACCES, errno.EPERM):
            return unknown(f"{shown}; {perf.CLOSED}")
        return no(f"{shown}; virtual machines need a virtual PMU (QEMU: -cpu host,pmu=on)")
    return yes("an event was opened")


def detect_bcc(tree: Tree) -> Feature:
    """Whether this Python finds bcc and its library; neither is loaded."""
    root = tree.root if isinstance(tree, LiveTree) else Path("/")
    spec = find_spec("bcc")
    if spec is None:
        return no(f"{sys.executable} finds no module bcc: {_cure_for_module(root)}")
    if any((root / folder / "libbcc.so.0").exists() for folder in _LIBRARY_FOLDERS):
        return yes(f"Python module {spec.origin}, and libbcc.so.0")
    return no(f"Python module {spec.origin}, but no libbcc.so.0: {_BCC_PACKAGES}")


def _cure_for_module(root: Path) -> str:
    """How this interpreter gets the module. Distributions install it for their own Python alone: no
    package helps another one (of pyenv, conda, or built by hand), and a virtual environment sees it
    only if it was made so."""
    installed = any(True for pattern in _SYSTEM_MODULES for _ in root.glob(pattern))
    packages = "" if installed else f"{_BCC_PACKAGES}; then "
    has = "has it" if installed else "can have it"
    if sys.base_prefix != "/usr":
        return (
            f"it is a Python of {sys.base_prefix}, and only the system's {has}: {packages}install "
            "probeplan for that: /usr/bin/python3 -m venv --system-site-packages DIRECTORY"
        )
    if sys.prefix != sys.base_prefix and not _sees_system_modules():
        return (
            f"its virtual environment does not show it the system's modules: {packages}make it "
            f"again: /usr/bin/python3 -m venv --clear --system-site-packages {sys.prefix}"
        )
    return _BCC_PACKAGES


def _sees_system_modules() -> bool:
    """Of a virtual environment: https://docs.python.org/3/library/site.html, pyvenv.cfg."""
    try:
        text = Path(sys.prefix, "pyvenv.cfg").read_text(errors="replace")
    except OSError:
        return True
    switch = re.search(r"^include-system-site-packages\s*=\s*(\w+)", text, re.MULTILINE)
    return switch is not None and switch[1].lower() == "true"


def _not_tried(tree: Tree) -> Feature | None:
    """Trials ask the running kernel, whatever the tree is: only "/" belongs to it."""
    if isinstance(tree, LiveTree) and tree.root == Path("/"):
        return None
    return unknown("trials need the running kernel")


def _feature_from_trial(answer: "Trial", success: str, cure: str) -> Feature:
    if answer.state == "yes":
        return yes(success)
    return Feature(state=answer.state, detail=f"tried, and refused: {answer.reason}; {cure}")
