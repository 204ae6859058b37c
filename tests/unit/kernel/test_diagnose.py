"""Why a function cannot be probed: each cause by hand, and the recorded kernels' real cases."""

import errno

import pytest

from orchestrator.kernel.diagnose import diagnose_function
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import Feature, no, yes
from tests.support.btf_blobs import FUNC, Blob
from tests.support.trees import KPROBES, TRACING, facts


@pytest.mark.parametrize(
    ("name", "verdict", "suggested"),
    [
        ("vfs_read", "ok", ()),
        ("vfs_raed", "missing", ("vfs_read", "vfs_readv")),
        ("__kmalloc", "missing", ("__kmalloc_noprof",)),
        ("init_once", "duplicate", ()),
        ("exc_int3", "blacklisted", ()),
        ("freed_after_boot", "notrace", ()),
        ("finish_task_switch", "inlined", ("finish_task_switch.isra.0",)),
        ("xfs_file_open", "module_not_loaded", ()),
        ("ext4_no_such", "missing", ()),
    ],
)
def test_causes_that_lie_in_the_function(
    name: str, verdict: str, suggested: tuple[str, ...]
) -> None:
    found = diagnose_function(facts(), name)
    assert found.verdict == verdict
    assert found.suggestions[: len(suggested)] == suggested
    assert found.explanation
    assert bool(found.cure) == (verdict != "ok")


def test_a_function_in_btf_alone_was_inlined() -> None:
    blob = Blob()
    blob.add(FUNC, "small_helper", blob.proto(0))
    found = diagnose_function(facts({"sys/kernel/btf/vmlinux": blob.bytes()}), "small_helper")
    assert (found.verdict, "BTF" in found.explanation) == ("inlined", True)


def test_closed_lists_leave_it_unknown_and_are_named() -> None:
    closed = {f"{TRACING}/available_filter_functions": errno.EPERM}
    found = diagnose_function(facts(closed), "vfs_read")
    assert found.verdict == "unknown"
    assert "available_filter_functions" in found.explanation
    assert "blacklist" not in found.explanation


def test_hidden_symbols_are_a_matter_of_permission() -> None:
    found = diagnose_function(facts({"proc/kallsyms": errno.EACCES}), "vfs_read")
    assert found.verdict == "permission"


@pytest.mark.parametrize(
    ("features", "verdict"),
    [
        ({"kprobes": no("no register_kprobe"), "fentry": no("refused")}, "no_kprobes"),
        ({"kprobes": no("no register_kprobe"), "fentry": yes("attached")}, "ok"),
        ({**KPROBES, "lockdown": yes("none integrity [confidentiality]")}, "lockdown"),
        ({**KPROBES, "lockdown": yes("none [integrity] confidentiality")}, "ok"),
        ({**KPROBES, "cap_bpf": no("not in CapEff"), "cap_sys_admin": no("no")}, "permission"),
        ({**KPROBES, "cap_bpf": no("not in CapEff"), "cap_sys_admin": yes("yes")}, "ok"),
    ],
)
def test_causes_that_lie_in_the_host(features: dict[str, Feature], verdict: str) -> None:
    host = facts(features=features, recorded=False)
    assert diagnose_function(host, "vfs_read").verdict == verdict


def test_recorded_kernels_have_their_own_reasons(recorded: KernelFacts) -> None:
    unprobed = {"x86_64": "exc_int3", "aarch64": "el1h_64_sync_handler"}[recorded.arch]
    verdicts = {
        name: diagnose_function(recorded, name).verdict
        for name in ("vfs_read", unprobed, "init_once", "vfs_raed", "__kmalloc")
    }
    if recorded.feature("kprobes").state == "no":
        assert set(verdicts.values()) == {"no_kprobes"}
        return
    kmalloc = "ok" if recorded.symbols.is_function("__kmalloc") else "missing"
    assert verdicts == {
        "vfs_read": "ok",
        unprobed: "blacklisted",
        "init_once": "duplicate",
        "vfs_raed": "missing",
        "__kmalloc": kmalloc,
    }
