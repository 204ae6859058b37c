"""`symbol(NAME)`: the address of a variable of the kernel."""

import re
from collections.abc import Callable

import pytest

from orchestrator.backends.bcc import artifact
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD, recorded
from tests.support.shipped import every_kernel
from tests.support.trees import facts

ADDRESSES = b"""\
ffffffff81000000 T _stext
ffffffff81000100 T vfs_read
ffffffff81f00000 T _etext
ffffffff82000010 D avenrun
ffffffff82000040 T init_task
0000000000034040 A runqueues
ffffffff82000080 R linux_banner
ffffffffc0001000 d of_a_module\t[ext4]
"""


def program_of(value: str, kernel: KernelFacts) -> Program:
    text = f"probes:\n  p:\n    attach: rawtracepoint:sched_switch\n    emit: {{a: '{value}'}}\n"
    return compile_plan(load_plan((HEAD + text).encode()), kernel)


def kernel_with(kallsyms: bytes, monkeypatch: pytest.MonkeyPatch) -> KernelFacts:
    """6.1 as if it ran here, with these symbols."""
    kernel = recorded("6.1")
    monkeypatch.setattr(kernel, "symbols", facts({"proc/kallsyms": kallsyms}).symbols)
    monkeypatch.setattr(kernel, "recorded", False)
    return kernel


@every_kernel
def test_it_compiles_on_every_kernel_with_the_address_open(kernel: str) -> None:
    """So that one program serves all boots: the text has no address."""
    value = 'load(u64, symbol("avenrun")) + cast(symbol("runqueues", cpu), "struct rq").cpu'
    made = artifact.emit(program_of(value, recorded(kernel)), recorded(kernel))
    assert {"avenrun", "runqueues", "__per_cpu_offset"} <= {number.name for number in made.numbers}


def test_the_text_is_the_same_at_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = set()
    for kallsyms in (ADDRESSES, ADDRESSES.replace(b"82000010 D", b"9abcdef0 D")):
        kernel = kernel_with(kallsyms, monkeypatch)
        made = artifact.emit(program_of('load(u64, symbol("avenrun"))', kernel), kernel)
        texts.add(re.sub(r"/\*.*?\*/", "", made.text))  # as compiler.key takes it
        [number] = [one for one in made.numbers if one.name == "avenrun"]
        assert b"%016x" % number.value in kallsyms
    assert len(texts) == 1


@pytest.mark.parametrize("name", ["avenrun", "init_task", "runqueues", "linux_banner"])
def test_variables_are_found_by_their_type_or_else_their_place(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7.3 gives init_task the type of functions."""
    program_of(f'load(u64, symbol("{name}"))', kernel_with(ADDRESSES, monkeypatch))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vfs_read", "it is a function"),
        ("of_a_module", "not in /proc/kallsyms"),
        ("avenru", "not in /proc/kallsyms"),
        ("runqueues + 8", "no name of a variable"),
    ],
)
def test_what_is_no_variable_is_refused(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((HostError, PlanError), match=reason):
        program_of(f'symbol("{name}")', kernel_with(ADDRESSES, monkeypatch))


@pytest.mark.parametrize(
    ("kallsyms", "reason"),
    [
        (b"0000000000000000 T _stext\n0000000000000000 D avenrun\n", "are hidden"),
        (b"ffffffff81000000 T _stext\nffffffff81f00000 T _etext\n", "does not list its variables"),
    ],
)
def test_addresses_that_are_not_to_be_had_are_a_finding_about_the_host(
    kallsyms: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HostError, match=reason):
        program_of('symbol("avenrun")', kernel_with(kallsyms, monkeypatch))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("symbol(args.prev)", "takes the name of a variable"),
        ('symbol("runqueues", pid)', "of `cpu` or of one CPU"),
        ('symbol("runqueues", 100000)', "there is no CPU 100000"),
    ],
)
def test_wrong_arguments_are_findings(
    compiled: Callable[..., Program], value: str, reason: str
) -> None:
    with pytest.raises(PlanError, match=reason):
        compiled(f"probes: {{p: {{attach: 'rawtracepoint:sched_switch', emit: {{a: '{value}'}}}}}}")
