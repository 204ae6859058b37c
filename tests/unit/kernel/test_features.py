"""Features on made-up roots, file by file, and on the kernel that runs."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.kernel.features import TABLE
from orchestrator.kernel.tree import LiveTree, RecordedTree
from tests.support.trees import TRACING

README_6_12 = b"""\
  dynamic_events\t\t- Create/append/remove/show the generic dynamic events
\t   Format: p[:[<group>/][<event>]] <place> [<args>]
\t           r[maxactive][:[<group>/][<event>]] <place> [<args>]
\t           f[:[<group>/][<event>]] <func-name>[%return] [<args>]
\t           $stack<index>, $stack, $retval, $comm, $arg<N>,
\t           <argname>[->field[->field|.field...]],
\t     kernel return probes support: $retval, $arg<N>, $comm
\t    Format: hist:keys=<field1[,field2,...]>
"""


def state(name: str, files: dict[str, bytes | int]) -> str:
    feature = TABLE[name](RecordedTree(files))
    assert feature.detail
    return feature.state


def tracing(readme: bytes = b"", *others: str) -> dict[str, bytes | int]:
    files: dict[str, bytes | int] = {f"{TRACING}/{other}": b"" for other in others}
    return files | {f"{TRACING}/README": readme, f"{TRACING}/events/enable": b"0"}


@pytest.mark.parametrize(
    "name",
    ["hist_triggers", "fprobe_events", "argn_in_return", "btf_args", "kretprobe_maxactive"],
)
def test_syntax_is_there_when_the_readme_names_it(name: str) -> None:
    needed = ("kprobe_events", "dynamic_events")
    assert state(name, tracing(README_6_12, *needed)) == "yes"
    assert state(name, tracing(b"tracing mini-HOWTO:\n", *needed)) == "no"
    assert state(name, {}) == "unknown"


def test_kprobe_syntax_in_the_readme_is_nothing_without_kprobe_events() -> None:
    """The README of a kernel with uprobes alone names r[maxactive] too (measured on 6.18)."""
    assert state("kretprobe_maxactive", tracing(README_6_12)) == "no"


def test_tracefs_under_debugfs_counts() -> None:
    assert state("tracefs", {"sys/kernel/debug/tracing/events/enable": b"0"}) == "yes"


@pytest.mark.parametrize(
    ("files", "reported"),
    [
        ({"proc/filesystems": b"nodev\ttracefs\n"}, "no"),
        ({"proc/filesystems": b"nodev\tproc\n"}, "no"),
        ({f"{TRACING}/README": errno.EACCES}, "unknown"),
    ],
)
def test_tracefs_missing_is_told_from_tracefs_closed(
    files: dict[str, bytes | int], reported: str
) -> None:
    assert state("tracefs", files) == reported


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (b"[none] integrity confidentiality", "no"),
        (b"none [integrity] confidentiality", "yes"),
        (b"none integrity [confidentiality]", "yes"),
    ],
)
def test_lockdown_is_read_from_its_brackets(text: bytes, reported: str) -> None:
    assert state("lockdown", {"sys/kernel/security/lockdown": text}) == reported


def test_lockdown_without_securityfs_is_unknown_and_without_its_file_no() -> None:
    assert state("lockdown", {"proc/filesystems": b"nodev\tsecurityfs\n"}) == "unknown"
    assert state("lockdown", {"sys/kernel/security/lsm": b"x"}) == "no"


@pytest.mark.parametrize(
    ("bits", "reported"), [(0, "no"), (1 << 39, "yes"), (1 << 21, "yes"), (1 << 38, "no")]
)
def test_cap_sys_admin_stands_for_cap_bpf(bits: int, reported: str) -> None:
    assert state("cap_bpf", {"proc/self/status": f"CapEff:\t{bits:016x}\n".encode()}) == reported


def test_kprobes_are_seen_by_their_own_function_when_no_file_shows_them() -> None:
    assert state("kprobes", {"proc/kallsyms": b"1 T register_kprobe\n"}) == "yes"
    assert state("kprobes", {"proc/kallsyms": b"1 T unregister_kprobes\n"}) == "no"
    assert state("kprobes", {"proc/kallsyms": errno.EACCES}) == "unknown"


def test_a_closed_list_of_functions_is_unknown() -> None:
    path = f"{TRACING}/available_filter_functions"
    assert state("filter_functions", tracing() | {path: errno.EPERM}) == "unknown"
    assert state("filter_functions", tracing()) == "no"


def test_every_feature_answers_on_an_empty_root(tmp_path: Path) -> None:
    for name, feature in live_facts(tmp_path).features.items():
        assert feature.state in ("yes", "no", "unknown"), name
        assert len(feature.detail) > 10, name
        assert feature.state != "yes" or name == "bcc", (name, feature)  # bcc is Python's


#: Root reads everything; another user need not be able to read this package.
_AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from orchestrator.kernel.facts import live_facts
live_facts().feature("tracefs")
if os.geteuid() == 0:
    os.setgroups([])
    os.setuid(65534)
print(live_facts(Path(sys.argv[1])).feature("tracefs").state)
"""


def test_files_that_may_not_be_read_are_not_taken_for_missing(tmp_path: Path) -> None:
    """Under a real root with a closed folder, as an ordinary user finds it."""
    closed = tmp_path / TRACING
    closed.mkdir(parents=True)
    (closed / "README").write_text("x")
    closed.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        if folder.stat().st_mode & 0o1 == 0 and "pytest" in str(folder):
            folder.chmod(0o755)
    command = [sys.executable, "-c", _AS_ANOTHER_USER, str(tmp_path)]
    assert subprocess.check_output(command, text=True) == "unknown\n"


def test_live_features_agree_with_the_files_of_this_machine(live: KernelFacts) -> None:
    if not live.feature("tracefs"):
        pytest.skip("this kernel lacks tracefs")
    for name in ("kprobe_events", "uprobe_events", "dynamic_events"):
        there = Path("/", live.tracing or "", name).exists()
        assert live.feature(name).state == ("yes" if there else "no")
    assert bool(live.feature("btf")) == (live.btf is not None)


def test_stock_kernels_offer_what_they_are_known_for(debian_6_1: KernelFacts) -> None:
    states = {name: feature.state for name, feature in debian_6_1.features.items()}
    assert {n for n, s in states.items() if s == "no"} == {
        "argn_in_return",
        "btf_args",
        "fprobe_events",
        "lockdown",
    }
    assert states["fentry"] == states["ringbuf"] == states["fetch_atomics"] == "yes"


def test_bcc_is_looked_for_by_the_name_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it every test of bcc would be skipped."""
    asked: list[str] = []
    monkeypatch.setattr("orchestrator.kernel.feature_trials.find_spec", asked.append)
    assert TABLE["bcc"](LiveTree(Path("/"))).state == "no"
    assert asked == ["bcc"]


def test_a_kernel_with_tracefs_that_is_not_mounted_has_it() -> None:
    """/proc/filesystems lists it; what is missing is the mount."""
    with_it = TABLE["tracefs"](RecordedTree({"proc/filesystems": b"nodev\ttracefs\n"}))
    without = TABLE["tracefs"](RecordedTree({"proc/filesystems": b"nodev\tproc\n"}))
    assert with_it.detail != without.detail


#: A kernel with everything, and nothing mounted at /sys.
BARE: dict[str, bytes | int] = {
    "proc/filesystems": b"nodev\tsysfs\nnodev\ttracefs\nnodev\tsecurityfs\n",
    "proc/kallsyms": b"1 T register_kprobe\n",
}


@pytest.mark.parametrize(
    "name",
    [
        *("tracefs", "hist_triggers", "btf", "kprobe_pmu", "uprobe_pmu", "perf_tracepoint"),
        *("kprobe_blacklist", "lockdown"),
    ],
)
def test_a_sysfs_that_is_not_mounted_is_no_fault_of_the_kernels_configuration(name: str) -> None:
    found = TABLE[name](RecordedTree(BARE))
    assert not found
    assert "sysfs is not mounted: mount -t sysfs sysfs /sys" in found.detail
    assert "CONFIG" not in found.detail


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_types_that_cannot_be_read_are_not_taken_for_missing(code: int) -> None:
    found = TABLE["btf"](RecordedTree({"sys/kernel/btf/vmlinux": code}))
    assert (found.state, os.strerror(code) in found.detail) == ("unknown", True)


def python_without_bcc(
    monkeypatch: pytest.MonkeyPatch, root: Path, prefix: Path | str, base: str
) -> str:
    """What is said of an interpreter at `prefix`, of the Python at `base`, on the host `root`."""
    monkeypatch.setattr("orchestrator.kernel.feature_trials.find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "executable", f"{prefix}/bin/python3")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "base_prefix", base)
    found = TABLE["bcc"](LiveTree(root))
    assert found.state == "no"
    assert found.detail.startswith(f"{prefix}/bin/python3 finds no module bcc: ")
    return found.detail


def test_a_python_of_pyenv_is_not_told_to_install_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The package is for the system's Python, which probeplan has to be installed for."""
    pyenv = "/root/.pyenv/versions/3.12.1"
    said = python_without_bcc(monkeypatch, tmp_path, pyenv, pyenv)
    assert "only the system's can have it: apt install python3-bpfcc" in said
    (tmp_path / "usr/lib/python3/dist-packages/bcc").mkdir(parents=True)
    said = python_without_bcc(monkeypatch, tmp_path, pyenv, pyenv)
    assert f"it is a Python of {pyenv}, and only the system's has it" in said
    assert "apt install" not in said
    assert "/usr/bin/python3 -m venv --system-site-packages" in said


def test_a_virtual_environment_is_made_again_unless_it_sees_the_systems_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "usr/lib64/python3.13/site-packages/bcc").mkdir(parents=True)
    settings = tmp_path / "pyvenv.cfg"
    settings.write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    said = python_without_bcc(monkeypatch, tmp_path, tmp_path, "/usr")
    assert f"/usr/bin/python3 -m venv --clear --system-site-packages {tmp_path}" in said
    assert "apt install" not in said
    settings.write_text("home = /usr/bin\ninclude-system-site-packages = true\n")
    said = python_without_bcc(monkeypatch, tmp_path, tmp_path, "/usr")
    assert said.endswith("dnf install python3-bcc (Fedora)")
