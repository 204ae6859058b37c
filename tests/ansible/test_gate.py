"""The gate counts what became of each host of a ring, lost ones included, and names them."""

import pytest

from tests.support.collection import load_plugin

plugin = load_plugin("filter.gate")

NONE = dict.fromkeys(plugin.STATES, 0)
INSTALLED = {"path": "/etc/probeplan/plans/opens.yaml", "changed": True}
COMPLETE = {"outcome": "duration", "exit_code": 0, "complete": True, "governor_steps": 0}
SKIPPED_TASK = {"skipped": True, "changed": False}


def host(**steps):
    """What the role knows of a host; `failure`: what its rescue kept."""
    ran = {"installed": INSTALLED, "ran": COMPLETE, "failure": {}}
    ran |= steps
    return {f"rollout__{step}": result for step, result in ran.items()}


def judge(most=NONE, lost=(), **hosts):
    present = [name for name in hosts if name not in lost]
    return plugin.judge_ring(hosts, list(hosts), present, most)


def test_a_ring_of_complete_runs_passes():
    verdict = judge(a=host(), b=host())
    assert verdict == {"passed": True, "counts": {"complete": 2}, "text": "2 complete"}


def test_a_host_that_left_the_play_is_unreachable_although_its_run_was_complete():
    verdict = judge(lost=["b"], a=host(), b=host())
    assert (verdict["passed"], verdict["counts"]) == (False, {"complete": 1, "unreachable": 1})
    assert verdict["text"] == (
        "1 unreachable, at most 0 allowed (rollout_max_unreachable):\n"
        "  b: it left the play, see above"
    )


FATES = {
    "unreachable": {"ran": {"unreachable": True, "msg": "Timeout, server not responding"}},
    "incomplete": {"ran": {"outcome": "events", "exit_code": 4, "reason": "rings were full"}},
    "quarantined": {"ran": {"outcome": "quarantined", "exit_code": 3, "reason": "it was stopped"}},
    "refused": {"ran": {"outcome": "refused", "exit_code": 3, "reason": "expired"}},
    "governed": {"ran": COMPLETE | {"governor_steps": 3}},
    "failed": {"failure": {"task": "Run the plan once", "msg": "No space left", "findings": []}},
}


@pytest.mark.parametrize("state", plugin.STATES)
def test_each_state_beyond_its_number_ends_the_rollout_and_is_named(state):
    verdict = judge(a=host(), b=host(**FATES[state]))
    assert (verdict["passed"], verdict["counts"][state]) == (False, 1)
    head, named = verdict["text"].split("\n")
    assert head == f"1 {state}, at most 0 allowed (rollout_max_{state}):"
    assert named.startswith("  b: ")
    assert judge(NONE | {state: 1}, a=host(), b=host(**FATES[state]))["passed"]


def test_the_reason_is_the_one_that_the_host_gave():
    assert "b: run: Timeout, server not" in judge(b=host(**FATES["unreachable"]))["text"]
    assert "b: Run the plan once: No space left" in judge(b=host(**FATES["failed"]))["text"]
    assert "b: rings were full" in judge(b=host(**FATES["incomplete"]))["text"]


def test_a_host_that_refuses_the_plan_at_install_is_refused_and_a_broken_one_failed():
    refusal = {
        "task": "Install",
        "msg": "error[PP201]: not allowed",
        "findings": [{"code": "PP201"}],
    }
    broken = {"task": "Install", "msg": "there is no 'probeplan' in PATH", "findings": []}
    for failure, state in ((refusal, "refused"), (broken, "failed")):
        verdict = judge(a=host(failure=failure, installed={"failed": True}, ran=SKIPPED_TASK))
        assert verdict["counts"] == {state: 1}
        assert failure["msg"] in verdict["text"]


def test_a_run_that_was_skipped_does_not_end_the_rollout():
    skipped = {"outcome": "skipped", "exit_code": 0, "reason": "another run is still going"}
    verdict = judge(a=host(ran=skipped), b=host())
    assert (verdict["passed"], verdict["text"]) == (True, "1 complete, 1 skipped")


def test_a_module_that_crashed_is_a_failure():
    crashed = {"task": "Run the plan once", "msg": "MODULE FAILURE", "findings": []}
    verdict = judge(a=host(failure=crashed, ran={"failed": True, "msg": "MODULE FAILURE"}))
    assert verdict["counts"] == {"failed": 1}


def test_a_result_that_was_not_fetched_fails_a_host_whose_run_was_complete():
    assert judge(a=host(**FATES["failed"]))["counts"] == {"failed": 1}


def test_a_host_without_any_result_is_counted_by_the_play_alone():
    verdict = judge(a={}, b={}, lost=["b"])
    assert verdict["counts"] == {"ready": 1, "unreachable": 1}


def test_of_many_hosts_twenty_are_named():
    hosts = {f"h{number:02}": host(**FATES["refused"]) for number in range(25)}
    lines = judge(**hosts)["text"].split("\n")
    assert (len(lines), lines[-1]) == (22, "  and 5 more")


def test_no_number_means_any_number_of_hosts():
    assert judge(dict.fromkeys(plugin.STATES), a=host(**FATES["refused"]))["passed"]
