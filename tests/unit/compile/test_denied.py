"""What must not be probed is known by what it is, whatever it is called."""

import pytest

from orchestrator.compile.denied import DENIED, find_denied, find_denied_names
from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD
from tests.support.trees import facts

LOCK = "_raw_spin_lock"
KALLSYMS = b"""\
ffffffff81000000 T _stext
ffffffff81000100 T _raw_spin_lock
ffffffff81000100 T __a_lock
ffffffff81000200 T vfs_read
ffffffff81000200 T vfs_read_too
ffffffff81000300 t trace_call_bpf.part.0
ffffffff81001000 T _etext
ffffffffc0000100 t notify_die\t[other]
"""
HIDDEN = b"".join(b"0" * 16 + line[16:] + b"\n" for line in KALLSYMS.splitlines())
LISTS: dict[str, bytes | int] = {
    "sys/kernel/tracing/available_filter_functions": b"__a_lock\nvfs_read\nvfs_read_too\n"
    b"_raw_spin_lock\ntrace_call_bpf.part.0\n",
}


def kernel(kallsyms: bytes = KALLSYMS, *, recorded: bool = False) -> KernelFacts:
    return facts({"proc/kallsyms": kallsyms, **LISTS}, recorded=recorded)


def why_refused(attach: str, there: KernelFacts) -> str:
    """The refusal of an attach point; "" where there is none."""
    plan = f"{HEAD}probes: {{p: {{attach: '{attach}', metrics: {{n: {{count: true}}}}}}}}"
    try:
        compile_plan(load_plan(plan.encode()), there)
    except (HostError, PlanError) as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("attach", "name"),
    [
        (f"function:{LOCK}", LOCK),
        ("function:__a_lock", LOCK),
        ("kprobe:__a_lock+0x4", LOCK),
        (f"kprobe:{LOCK}+0x4", LOCK),
        ("kprobe:vfs_read+0x104", "trace_call_bpf"),  # beyond its end, within the next function
        ("entry:trace_call_bpf.part.0", "trace_call_bpf"),
    ],
)
def test_a_denied_function_is_refused_by_every_way_to_it(attach: str, name: str) -> None:
    said = why_refused(attach, kernel())
    assert "error[PP081]" in said
    assert DENIED[name] in said


@pytest.mark.parametrize("attach", ["function:vfs_read", "kprobe:vfs_read_too+0x4"])
def test_other_functions_are_not_refused(attach: str) -> None:
    assert why_refused(attach, kernel()) == ""


@pytest.mark.parametrize("attach", ["kprobe:vfs_read+0x80", "kprobe:vfs_read_too+0x90"])
def test_a_place_in_another_function_is_refused(attach: str) -> None:
    """The kernel would probe that function, and the run would name this one."""
    line = b"ffffffff81000280 T vfs_write\n"
    there = kernel(KALLSYMS.replace(b"ffffffff81000300", line + b"ffffffff81000300"))
    said = why_refused(attach, there)
    assert "error[PP081]" in said
    assert "is outside the function: it is in vfs_write" in said
    assert why_refused("kprobe:vfs_read+0x7f", there) == ""


def test_a_glob_reaches_no_denied_function_by_another_name() -> None:
    assert find_denied(kernel(), "vfs_read_too") is None
    assert "none of the functions that can be probed" in why_refused("entry:__a*", kernel())
    assert why_refused("entry:vfs_*", kernel()) == ""


def test_a_place_in_a_function_is_refused_where_addresses_are_hidden() -> None:
    """It might be in a denied one; a name alone is judged by itself. Of a recorded kernel, which
    has no addresses, the run decides."""
    said = why_refused("kprobe:vfs_read+0x4", kernel(HIDDEN))
    assert "the function that vfs_read+0x4 is in is not known" in said
    assert "kernel.kptr_restrict" in said
    assert why_refused("function:vfs_read", kernel(HIDDEN)) == ""
    assert why_refused("kprobe:vfs_read+0x4", kernel(HIDDEN, recorded=True)) == ""


@pytest.mark.parametrize("kallsyms", [KALLSYMS, HIDDEN])
def test_many_functions_are_judged_as_each_is(kallsyms: bytes) -> None:
    there = kernel(kallsyms)
    names = there.symbols.names
    one_by_one = {name: denied for name in names if (denied := find_denied(there, name))}
    assert find_denied_names(there, names) == one_by_one != {}
