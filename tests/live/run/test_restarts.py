"""System calls that a signal interrupts and the kernel restarts."""

import sys
from pathlib import Path

from tests.live.run.test_counts import HEAD, backends
from tests.support.paths import ROOT
from tests.support.product import run_cli

INTERRUPTED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from tests.support.workload.waiting import READ, wait_asleep
readable, written = os.pipe()
handled, handling = os.pipe()
child = os.fork()
if not child:
    os.set_blocking(handling, False)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.siginterrupt(signal.SIGUSR1, False)
    signal.set_wakeup_fd(handling)
    os._exit(os.read(readable, 4097) != b"hello")
wait_asleep(str(child), READ)
os.kill(child, signal.SIGUSR1)
os.read(handled, 1)
wait_asleep(str(child), READ)
os.write(written, b"hello")
sys.exit(os.waitpid(child, 0)[1])
"""


@backends
def test_a_restarted_call_returns_twice_and_its_first_result_has_a_name(
    backend: str, tmp_path: Path
) -> None:
    """ERESTARTSYS (512) reaches no program: the kernel makes the call again."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        HEAD + "\n  reads: {attach: 'syscall:read', where: entry(args.count == 4097),"
        " emit: {result: retval, result_name: errno(retval)}}\n"
    )
    command = [sys.executable, "-c", INTERRUPTED, str(ROOT)]
    ran = run_cli(str(plan), "--backend", backend, command=command)
    returned = [(row["result"], row["result_name"]) for row in ran.data("reads")]
    assert returned == [(-512, "ERESTARTSYS"), (5, None)]
    assert ran.finished["complete"] is True
