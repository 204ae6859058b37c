"""What other collections ask, as plans: each says what it asks, resolves where the kernel has what
it names, and is refused by the name of what is lacking elsewhere."""

import re
from pathlib import Path

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from tests.support.paths import ROOT
from tests.support.peers import MODULES, OF_MEMBERS, PEERS, PROGRAMS, SETTINGS, build_members
from tests.support.recorded import recorded
from tests.support.shipped import every_kernel

#: What is not on some of the recorded kernels that have kprobes.
NO_XEN = {"book/xenhyper": "it has no category 'xen'"}
LACKING = {
    "5.10": {
        "runtime/module-types": "has no argument 'iocb'",  # 5.10 has no types of modules
        "runtime/snapshots": "no attach point of 'area'",  # its iterators begin later
    },
    **dict.fromkeys(("6.1-arm64", "6.12-arm64", "6.18-no-kprobes"), NO_XEN),
}
NO_KPROBES = "this kernel cannot probe functions"
README = ROOT / "examples" / "peers" / "README.md"


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that some plans need."""
    return build_members(tmp_path_factory.mktemp("members"))


def settings(name: str, members: Path) -> dict[str, str]:
    """What makes the plan one for this host's programs."""
    if name in OF_MEMBERS:
        return {"binary": str(members)}
    return SETTINGS.get(name, {})


def refusal_or_program(plan: Plan, facts: KernelFacts) -> tuple[str | None, Program | None]:
    """Why the plan is refused, or what was made of it."""
    try:
        return None, compile_plan(plan, facts)
    except (PlanError, HostError) as error:
        return str(error), None


@every_kernel
@pytest.mark.parametrize("name", sorted(set(PEERS) - set(MODULES) - set(PROGRAMS)))
def test_it_resolves_or_names_what_is_lacking(name: str, kernel: str, members: Path) -> None:
    """A plan that is refused is refused for the reason that is known of this kernel."""
    plan = load_plan(str(PEERS[name]), settings=settings(name, members))
    refused, program = refusal_or_program(plan, recorded(kernel))
    usual = NO_KPROBES if kernel.endswith("no-kprobes") else None
    if refused is not None:
        reason = LACKING.get(kernel, {}).get(name, usual)
        assert reason is not None, refused
        assert reason in refused
    else:
        assert name not in LACKING.get(kernel, {})
        assert program is not None
        assert program.hooks


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_plan_of_a_module_is_refused_where_the_module_is_not_loaded(name: str) -> None:
    """By its kernel's functions and events alone: the plan has no other fault."""
    with pytest.raises((PlanError, HostError)) as caught:
        compile_plan(load_plan(str(PEERS[name])), recorded("6.1"))
    assert isinstance(caught.value, PlanError | HostError)
    assert {finding.code for finding in caught.value.findings} == {"PP080"}


def test_the_index_lists_every_plan_with_its_summary() -> None:
    """Neither a plan that is not listed, nor a line without a plan."""
    rows = re.findall(
        r"^\| \[[\w-]+\]\(([\w/.-]+)\.yaml\) \| (.+?) \| .+ \|$", README.read_text(), re.MULTILINE
    )
    summaries = {name: load_plan(str(path)).metadata.summary for name, path in PEERS.items()}
    assert dict(rows) == summaries
