# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""What became of each host of a ring, and whether the next ring may begin."""

from __future__ import annotations

#: What may become of a host in its ring and, if it is too often, end the rollout.
STATES = ("failed", "unreachable", "incomplete", "quarantined", "refused", "governed")
#: Steps of the role, with the variables that have their results.
_STEPS = {"install": "rollout__installed", "run": "rollout__ran"}
_FAILURE = "rollout__failure"
_INCOMPLETE = 4
_MOST_NAMED = 20


class FilterModule:
    """The filters of this file, by name."""

    def filters(self):
        return {"judge": judge_ring}


def judge_ring(hostvars, members, present, most):
    """Whether the next ring may begin, after what became of the hosts `members`.

    `hostvars`: the variables of all hosts; `present`: hosts that Ansible still has in the play;
    `most`: by state of STATES, how many hosts may be in it (None: any number). Returns `passed`,
    `counts` by state, and `text`, which names the hosts and why. A host that left the play is
    unreachable, whatever became of it before: Ansible's max_fail_percentage does not count those.
    """
    reports = {host: _report(hostvars[host], host in present) for host in members}
    by_state = {}
    for host, report in sorted(reports.items()):
        for state, why in report.items():
            by_state.setdefault(state, {})[host] = why
    counts = {state: len(hosts) for state, hosts in by_state.items()}
    beyond = [s for s in STATES if most.get(s) is not None and counts.get(s, 0) > int(most[s])]
    lines = [_describe(state, by_state[state], most[state]) for state in beyond]
    return {
        "passed": not beyond,
        "counts": counts,
        "text": "\n".join(lines or [", ".join(f"{counts[s]} {s}" for s in sorted(counts))]),
    }


def _describe(state, hosts, most):
    names = [f"{host}: {why}" if why else host for host, why in hosts.items()]
    shown = names[:_MOST_NAMED]
    rest = [f"and {len(names) - len(shown)} more"] if len(names) > len(shown) else []
    allowed = f"at most {most} allowed (rollout_max_{state})"
    return "\n  ".join([f"{len(names)} {state}, {allowed}:", *shown, *rest])


def _report(variables, is_present):
    """What became of a host: states, each with the reason."""
    steps = {step: variables.get(name) or {} for step, name in _STEPS.items()}
    for step, result in steps.items():
        if result.get("unreachable"):
            return {"unreachable": f"{step}: {_first_line(result.get('msg'))}"}
    if not is_present:
        return {"unreachable": "it left the play, see above"}
    ran = steps["run"]
    states = _report_run(ran) if "outcome" in ran else {}
    failure = variables.get(_FAILURE)
    if failure and not set(states) & set(STATES):
        state = "refused" if failure["findings"] else "failed"
        return {state: f"{failure['task']}: {_first_line(failure['msg'])}"}
    return states or {"installed" if steps["install"] else "ready": ""}


def _report_run(ran):
    outcome, code = ran.get("outcome"), ran.get("exit_code")
    why = _first_line(ran.get("reason") or ran.get("msg"))
    if outcome in ("skipped", "refused", "quarantined"):
        return {outcome: why}
    states = {}
    if code == _INCOMPLETE or ran.get("complete") is False:
        states["incomplete"] = why
    elif code != 0:
        states["failed"] = f"run: {why}"
    if ran.get("quarantine"):
        states["quarantined"] = why
    if steps := ran.get("governor_steps"):
        states["governed"] = f"{steps} steps of the governor"
    return states or {"complete": ""}


def _first_line(text):
    return str(text or "no reason was given").strip().partition("\n")[0]
