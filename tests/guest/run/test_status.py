"""`status`, `pause` and `stop` in booted kernels that have kprobes."""

import pytest

from tests.support.guest_cases import CaseResult


@pytest.mark.usual_kernel  # five commands of ten emulated seconds each
@pytest.mark.guest("tests.guest.controlled:states")
def test_status_tells_what_the_kernel_says_of_a_kprobe(guest: CaseResult) -> None:
    """At a function's first instruction it is ftrace's or optimized, and paused it is disabled; of
    a tracepoint there is nothing to be reported."""
    reported = guest.result()
    on, paused = reported["steps"]["on"], reported["steps"]["paused"]
    assert on["other"] == paused["other"] == [False, None]
    assert (on["call"][0], paused["call"][0]) == (False, True)
    assert "DISABLED" not in on["call"][1]
    assert "DISABLED" in paused["call"][1]
    assert (reported["exit_code"], reported["left"]) == (143, [])
