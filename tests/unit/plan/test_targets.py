"""The keys of a target: what they may hold, and what --target changes of them."""

from collections.abc import Mapping

import pytest

from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import LeftOut, Target
from tests.support.recorded import HEAD

PROBES = "probes: {p: {attach: 'syscall:getppid', emit: {}}}\n"


def target_of(text: str, given: Mapping[str, str] = {}) -> Target:  # read only
    plan = f"{HEAD}target: {{{text}}}\n{PROBES}"
    return load_plan(plan.encode(), target=given).target


def test_programs_and_namespaces_are_lists_of_alternatives() -> None:
    one = target_of("exe: /usr/sbin/sshd, pidns: host")
    assert (one.exe, one.pidns) == (("/usr/sbin/sshd",), ("host",))
    several = target_of("exe: [/bin/a, /bin/b], pidns: [container, 4026532201]")
    assert (several.exe, several.pidns) == (("/bin/a", "/bin/b"), ("container", "4026532201"))


def test_what_is_left_out_has_the_same_keys() -> None:
    others = "{pid: [1, 2], comm: ab, uid: 0, exe: /bin/a, children: true}"
    found = target_of(f"comm: 'a*', not: {others}")
    assert found.comm == ("a*",)
    assert found.left_out == LeftOut(
        pid=(1, 2), comm=("ab",), uid=(0,), exe=("/bin/a",), children=True
    )


def test_the_command_line_replaces_one_key_of_what_is_left_out() -> None:
    found = target_of("not: {pid: 1, comm: ab}", {"not.comm": "x,y*", "exe": "/bin/a,/bin/b"})
    assert found.left_out == LeftOut(pid=(1,), comm=("x", "y*"))
    assert found.exe == ("/bin/a", "/bin/b")


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        ("exe: sshd", {}, "'sshd' is not a program"),
        ('exe: "/bin/a\\n"', {}, "is not a program"),
        ("pidns: mine", {}, "'mine' is not a PID namespace"),
        ("pidns: 4294967296", {}, "is not a PID namespace"),
        ("not: {children: true}", {}, "`not` names no process"),
        ("not: {comm: '*a*'}", {}, "is not a task's name"),
        ("not: {exclude_self: true}", {}, "exclude_self"),
        ("pid: 1", {"not.children": "maybe"}, "neither true nor false"),
        ("pid: 1", {"not.nothing": "1"}, "there is no target 'not.nothing'"),
    ],
)
def test_what_has_no_meaning_is_a_finding(text: str, given: Mapping[str, str], said: str) -> None:
    with pytest.raises(PlanError) as caught:
        target_of(text, given)
    assert any(said in f"{finding.message} {finding.hint}" for finding in caught.value.findings)
