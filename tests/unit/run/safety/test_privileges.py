"""Which capabilities a run needs, before and after attaching."""

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.compile.program import Program
from orchestrator.plan.findings import HostError
from orchestrator.run.prepare import resolve
from orchestrator.run.safety.privileges import capabilities_for_names, require_privileges
from tests.support.policies import a_plan
from tests.support.recorded import recorded

FACTS = recorded("6.1")


def with_capabilities(**states: str) -> Any:
    """Facts of which nothing but these features is known."""
    return SimpleNamespace(feature=lambda name: SimpleNamespace(state=states[name]))


@pytest.mark.parametrize(
    "states",
    [
        {"cap_sys_admin": "yes", "cap_bpf": "no", "cap_perfmon": "no"},
        {"cap_sys_admin": "no", "cap_bpf": "yes", "cap_perfmon": "yes"},
        {"cap_sys_admin": "unknown", "cap_bpf": "no", "cap_perfmon": "no"},
        {"cap_sys_admin": "no", "cap_bpf": "unknown", "cap_perfmon": "unknown"},
    ],
)
def test_what_may_be_enough_is_left_to_the_kernel(states: dict[str, str]) -> None:
    require_privileges(with_capabilities(**states))


@pytest.mark.parametrize(
    ("bpf", "perfmon", "named"),
    [("no", "no", "CAP_BPF and CAP_PERFMON"), ("yes", "no", "without CAP_PERFMON")],
)
def test_missing_capabilities_are_named(bpf: str, perfmon: str, named: str) -> None:
    facts = with_capabilities(cap_sys_admin="no", cap_bpf=bpf, cap_perfmon=perfmon)
    with pytest.raises(HostError, match=f"PP092.*{named}"):
        require_privileges(facts)


def program(rest: str) -> Program:
    return resolve(a_plan("function:vfs_read", rest), FACTS).program


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("", set()),
        ("    let: {s: kstack}\n    metrics: {n: {count: true, by: [s]}}\n", {"CAP_SYSLOG"}),
        (
            "    let: {s: ustack}\n    metrics: {n: {count: true, by: [s]}}\n",
            {"CAP_SYS_PTRACE", "CAP_CHECKPOINT_RESTORE", "CAP_DAC_READ_SEARCH"},
        ),
    ],
)
def test_names_of_stacks_need_capabilities(rest: str, expected: Any) -> None:
    """Those of the kernel other ones than those of processes."""
    assert set(capabilities_for_names(program(rest))) == expected
