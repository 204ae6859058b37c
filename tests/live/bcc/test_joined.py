"""One link for many places in a file: every place counts its own events, exactly."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import attach
from orchestrator.backends.protocol import AttachOptions, Session
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.feature import no
from orchestrator.plan.findings import HostError, PlanError
from tests.support.bcc_runs import Run, balanced, build, facts, program_of, run
from tests.support.paths import ROOT, WORKLOADS
from tests.support.settling import until

FUNCTIONS = 600
LIMITS = "limits: {probes: 1k, events: 10k, rate: 10M/s}\n"
BREAKPOINT = b"\xcc"  # x86-64: int3


def times(number: int) -> int:
    """How often the workload calls function `number`."""
    return 1 + number % 7


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of FUNCTIONS functions: `many` calls each as often as `times` says; `many wait`
    prints where `fun_0` is, waits for a line, and does so in two threads. `fum_refused` begins with
    an instruction that the kernel cannot probe."""
    numbers = range(FUNCTIONS)
    functions = "".join(
        f'__attribute__((noinline)) long fun_{n}(long x) {{ __asm__ volatile("" : "+r"(x)); '
        f"return x + {n}; }}\n"
        for n in numbers
    )
    calls = "".join(f"for (i = 0; i < {times(n)}; i++) fun_{n}(i);\n" for n in numbers)
    source = tmp_path_factory.mktemp("many") / "many.c"
    source.write_text(
        f"""#include <pthread.h>
#include <stdio.h>
{functions}
__attribute__((naked)) void fum_refused(void) {{ __asm__("cli; ret"); }}
static void *work(void *unused)
{{
	long i;
	{calls}
	return unused;
}}
int main(int argc, char **argv)
{{
	pthread_t second;
	if (argc > 1) {{
		printf("%lx\\n", (unsigned long)fun_0);
		fflush(stdout);
		getchar();
		pthread_create(&second, 0, work, 0);
		pthread_join(second, 0);
	}}
	work(0);
	return 0;
}}
"""
    )
    return build(source, source.with_suffix(""))


@contextmanager
def started(many: Path) -> Iterator["tuple[subprocess.Popen[str], int]"]:
    """A process of the program that waits, and the address of `fun_0` in it."""
    pipe = subprocess.PIPE
    with subprocess.Popen([str(many), "wait"], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline(), 16)
        process.kill()


@pytest.fixture
def waiting(many: Path) -> Iterator["tuple[subprocess.Popen[str], int]"]:
    with started(many) as process:
        yield process


def first_byte(process: "subprocess.Popen[str]", address: int) -> bytes:
    """What is at the address in the process."""
    with Path(f"/proc/{process.pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(1)


def mechanisms(made: Run) -> set[str | None]:
    return {hook.mechanism for hook in backend("bcc").emit(made.program, facts()).hooks}


def numbers_of(program: Program) -> dict[int, int]:
    """By hook, the number of its function."""
    return {hook.id: int(hook.symbol.removeprefix("fun_")) for hook in program.hooks}


@pytest.mark.parametrize("kind", ["uprobe", "ufunction"])
def test_each_of_six_hundred_functions_counts_its_own_calls(many: Path, kind: str) -> None:
    """At each side, and in the cells by `func`; records name the function that made them. One link
    a side, and nothing is missed."""
    assert facts().feature("uprobe_multi"), "this kernel is one that has them"
    made = run(
        LIMITS
        + f"""
probes:
  p: {{attach: '{kind}:{many}:fun_*', emit: {{f: func}},
       metrics: {{n: {{count: true, by: [func]}}}}}}
""",
        [str(many)],
    )
    balanced(made)
    assert mechanisms(made) == {"uprobe multi"}
    numbers = numbers_of(made.program)
    assert len(numbers) == FUNCTIONS
    for side in made.counts.sides:
        wanted = times(numbers[side.hook])
        assert (side.fired, side.accepted, side.kernel_missed) == (wanted, wanted, 0)
        assert side.recursion_misses == 0
    names = made.program.metrics[0].key[0].presentation
    assert names is not None
    counted = {
        names.names[int.from_bytes(cell.key[:4], sys.byteorder)]: cell.count
        for cell in made.cells[0]
        if cell.key is not None
    }
    assert counted == {f"fun_{n}": times(n) for n in range(FUNCTIONS)}
    assert len(made.records) == sum(map(times, range(FUNCTIONS)))


def test_probes_with_semaphores_are_one_link(tmp_path: Path) -> None:
    """USDT: the link counts the semaphores up, or the program would not reach the probes."""
    texts = build(WORKLOADS / "texts.c", tmp_path / "texts")
    plan = (
        f"probes: {{p: {{attach: 'usdt:{texts}:texts:glob_*', metrics: {{n: {{count: true}}}}}}}}"
    )
    made = run(LIMITS + plan, [str(texts), "7"])
    balanced(made)
    assert mechanisms(made) == {"uprobe multi"}
    assert [side.accepted for side in made.counts.sides] == [7, 7]


def attach_all(text: str, of: KernelFacts) -> tuple[list[str], list[str]]:
    """How each hook was attached, and why others were not."""
    made = attach(backend("bcc").emit(program_of(text, of), of), of, AttachOptions(run_id="joined"))
    try:
        attached = [f"{hook.mechanism}: {hook.detail}" for hook in made.attached]
        return attached, [hook.reason for hook in made.skipped]
    finally:
        made.detach()


def test_a_place_that_the_kernel_refuses_is_reported_and_the_others_are_one_link(
    many: Path, waiting: "tuple[subprocess.Popen[str], int]"
) -> None:
    """As it is reported where each place is attached by itself."""
    plan = (
        LIMITS
        + f"""
probes:
  p: {{attach: 'uprobe:{many}:fu?_*', optional: true, metrics: {{n: {{count: true}}}}}}
"""
    )
    attached, skipped = attach_all(plan, facts())
    assert set(attached) == {f"uprobe multi: one link for {FUNCTIONS} places in {many}"}
    assert len(attached) == FUNCTIONS
    [reason] = skipped
    apart = facts().with_features({"uprobe_multi": no("taken away by the test")})
    alone = plan.replace("fu?_*", "fum_*")
    assert attach_all(alone, apart) == ([], [reason])
    with pytest.raises(HostError) as refused:
        attach_all(plan.replace("optional: true, ", ""), facts())
    assert [finding.message for finding in refused.value.findings] == [reason]


def test_a_link_for_one_process_leaves_others_as_they_are(many: Path) -> None:
    """Two processes run the program, and one of them is the target: it alone has breakpoints, and
    its calls alone are counted, also those of its second thread."""
    with started(many) as (target, own), started(many) as (other, address):
        before = first_byte(other, address)

        def both_run(_session: Session) -> None:
            assert (first_byte(target, own), first_byte(other, address)) == (BREAKPOINT, before)
            for process in (target, other):
                process.communicate("\n", timeout=60)

        plan = f"""
target: {{pid: {target.pid}}}
probes: {{p: {{attach: 'uprobe:{many}:fun_*', metrics: {{n: {{count: true}}}}}}}}
"""
        made = run(LIMITS + plan, during=both_run)
    balanced(made)
    assert mechanisms(made) == {"uprobe multi"}
    numbers = numbers_of(made.program)
    for side in made.counts.sides:
        wanted = 2 * times(numbers[side.hook])
        assert (side.fired, side.accepted, side.kernel_missed) == (wanted, wanted, 0)


def test_more_places_than_the_plan_allows_are_refused_as_ever(many: Path) -> None:
    plan = f"probes: {{p: {{attach: 'uprobe:{many}:fun_*', metrics: {{n: {{count: true}}}}}}}}"
    with pytest.raises(PlanError, match=f"matches {FUNCTIONS} .*; at most 64 probes"):
        program_of(plan)


RUN_AND_WAIT = """
import sys, time
from orchestrator.backends import backend
from orchestrator.backends.protocol import AttachOptions
from tests.support.bcc_runs import facts, program_of
bcc = backend("bcc")
session = bcc.attach(bcc.emit(program_of(sys.argv[1]), facts()), facts(), AttachOptions(run_id="k"))
print("attached", flush=True)
time.sleep(600)
"""


def test_the_kernel_undoes_a_link_when_its_owner_is_killed(
    many: Path, waiting: "tuple[subprocess.Popen[str], int]"
) -> None:
    """The breakpoints are gone from a process that has mapped the file."""
    process, address = waiting
    before = first_byte(process, address)
    plan = LIMITS + (
        f"probes: {{p: {{attach: 'uprobe:{many}:fun_*', metrics: {{n: {{count: true}}}}}}}}"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_WAIT, plan],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert owner.stdout is not None
    try:
        assert owner.stdout.readline() == "attached\n"
        assert first_byte(process, address) == BREAKPOINT != before
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
    assert until(lambda: first_byte(process, address) == before)
