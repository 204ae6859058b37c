"""tests/support/product.py: which runs are made again, and which are not."""

import json
import subprocess

import pytest

from tests.support import product
from tests.support.product import UNDISTURBED_TRIES, run_undisturbed, was_disturbed

DISTURBED = (
    "release: 41 times rawtracepoint:kfree (hit) happened and the kernel did not run the probe: it "
    "was running on that CPU already, nested or preempted"
)
NESTED = "p: 2 times tracepoint:sock:state happened and the kernel did not run the probe"
LOST = "release: 3 records were lost: the buffer was full"


def lines(*reasons: str) -> bytes:
    """What a run that is incomplete for these reasons writes."""
    finished = {"event": "run.finished", "incomplete_because": reasons}
    return b'{"event": "run.started"}\n' + json.dumps(finished).encode() + b"\n"


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((DISTURBED,), True),
        ((DISTURBED, DISTURBED), True),
        ((), False),
        ((LOST,), False),
        ((DISTURBED, LOST), False),
        ((DISTURBED.removesuffix(product.RECURSION),), False),
        ((NESTED,), True),
        ((NESTED, LOST), False),
    ],
)
def test_only_what_an_interrupt_did_is_a_disturbance(
    reasons: tuple[str, ...], expected: bool
) -> None:
    assert was_disturbed(lines(*reasons)) is expected


@pytest.mark.parametrize(
    ("status", "reason", "runs"), [(4, DISTURBED, UNDISTURBED_TRIES), (4, LOST, 1), (1, LOST, 1)]
)
@pytest.mark.filterwarnings("ignore:plan was disturbed")
def test_a_run_is_made_again_only_if_it_says_that_it_was_disturbed(
    status: int, reason: str, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And if it is disturbed each time, it fails."""
    made: list[list[str]] = []

    def run(argv: list[str]) -> "subprocess.CompletedProcess[bytes]":
        made.append(argv)
        return subprocess.CompletedProcess(argv, status, lines(reason), b"why")

    monkeypatch.setattr(product, "_run_process", run)
    with pytest.raises(AssertionError, match="why"):
        run_undisturbed("plan", command=["true"])
    assert len(made) == runs
