# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""What the role `rollout` computes: which host is in which ring, what became of each, and whether
the next ring may begin."""

from __future__ import annotations

import hashlib
import math
import re

from ansible_collections.probeplan.fleet.plugins.module_utils.arguments import run_arguments

#: What may become of a host in its ring and, if it is too often, end the rollout.
STATES = ("failed", "unreachable", "incomplete", "quarantined", "refused", "governed")
#: The steps of the role whose results say so, in order, with the variables that have them.
_STEPS = {
    "package": "rollout__packaged",
    "install": "rollout__installed",
    "schedule": "rollout__scheduled",
    "run": "rollout__ran",
    "collect": "rollout__collected",
}
_INCOMPLETE = 4
_MOST_NAMED = 20


class FilterModule:
    """The filters of this file, by name."""

    def filters(self):
        return {
            "builds": name_builds,
            "judge": judge_ring,
            "rings": make_rings,
            "unit_options": format_unit_options,
        }


# ---------------------------------------------------------------- rings


def name_builds(hostvars, hosts):
    """By host, the name of its kernel build, which can be a file's: hosts of one build run the same
    kernel. `hostvars`: the variables of all hosts, with what the module `facts` found."""
    return {host: _name_build(hostvars[host]["ansible_facts"]["probeplan"]) for host in hosts}


def _name_build(facts):
    names = (facts["arch"], facts["kernel"], (facts["build_id"] or "unknown")[:12])
    return re.sub(r"[^A-Za-z0-9._+-]", "_", "-".join(names))


def make_rings(kernels, sizes, plan):
    """The rings of a rollout, each with the hosts that it adds; those that add none are left out.

    `kernels`: by host, the name of its kernel build; `sizes`: `kernels` (one host of each build),
    `10%` (so many of all hosts) or a number of hosts, growing. `plan`: its name. Hosts come in an
    order drawn from plan and host, so that a rollout that is repeated has the same rings, and other
    plans begin on other hosts. Raises ValueError.
    """
    first = _first_of_each(kernels, plan)
    order = first + [host for host in _draw_order(kernels, plan) if host not in set(first)]
    rings, begin, last = [], 0, 0
    for size in sizes:
        end = _count(str(size), len(first), len(order))
        if end < last:
            raise ValueError(f"rollout_rings: {size!r} is smaller than the ring before it: {sizes}")
        last = end
        if end > begin:
            rings.append({"name": str(size), "hosts": order[begin:end]})
            begin = end
    return rings


def _draw_order(kernels, plan):
    return sorted(kernels, key=lambda host: (_draw(plan, host), host))


def _first_of_each(kernels, plan):
    """One host of each kernel build."""
    first = {}
    for host in _draw_order(kernels, plan):
        first.setdefault(kernels[host], host)
    return list(first.values())


def _draw(*names):
    return hashlib.sha256("".join(f"{name}\0" for name in names).encode()).digest()


def _count(size, kernels, hosts):
    """How many hosts are in the rings up to this one."""
    if size == "kernels":
        return kernels
    number = size.removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 < value <= (100 if size.endswith("%") else math.inf) or math.isinf(value):
        raise ValueError(f"rollout_rings: {size!r} is none of `kernels`, `10%` or a number of hosts")
    if size.endswith("%"):
        return math.ceil(hosts * value / 100 - 1e-9)
    return min(math.ceil(value), hosts)


# ---------------------------------------------------------------- the gate


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
    for step, result in steps.items():
        if step != "run" and result.get("failed"):
            state = "refused" if step == "install" and result.get("findings") else "failed"
            return {state: f"{step}: {_first_line(result.get('msg'))}"}
    ran = steps["run"]
    return {"installed": ""} if ran.get("skipped") or not ran else _report_run(ran)


def _report_run(ran):
    outcome, code = ran.get("outcome"), ran.get("exit_code")
    why = _first_line(ran.get("reason") or ran.get("msg"))
    if outcome in ("skipped", "refused", "quarantined"):
        return {outcome: why}
    states = {}
    if code == _INCOMPLETE or ran.get("complete") is False:
        states["incomplete"] = why
    elif ran.get("failed") or code != 0:
        states["failed"] = f"run: {why}"
    if ran.get("quarantine"):
        states["quarantined"] = why
    if steps := ran.get("governor_steps"):
        states["governed"] = f"{steps} steps of the governor"
    return states or {"complete": ""}


def _first_line(text):
    return str(text or "no reason was given").strip().partition("\n")[0]


# ---------------------------------------------------------------- units


def format_unit_options(parameters):
    """The parameters of the module `run` as OPTIONS of the unit probeplan-once@, which adds what
    every unattended run has. Raises ValueError for what a unit cannot hold."""
    words = [word for word in run_arguments(parameters, _FILE) if word not in _IN_THE_UNIT]
    return " ".join(_quote_for_unit(word) for word in words)


#: In place of a file.
_FILE = "/"
_IN_THE_UNIT = (_FILE, "run", "--unattended", "--no-progress")


def _quote_for_unit(word):
    """A word of `$OPTIONS`, which systemd splits as a shell does (systemd.service(5), COMMAND LINES).
    `%` begins a specifier."""
    if set(word) & set("'\"\\"):
        raise ValueError(f"{word}: a quote or a backslash cannot be passed to a unit")
    escaped = word.replace("%", "%%")
    return f"'{escaped}'" if " " in word else escaped
