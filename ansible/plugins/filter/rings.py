# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""In which ring of a rollout each host is."""

from __future__ import annotations

import hashlib
import math
import re


class FilterModule:
    """The filters of this file, by name."""

    def filters(self):
        return {"builds": name_builds, "rings": make_rings}


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
    order = list(dict.fromkeys(first + _draw_order(kernels, plan)))
    rings, begin, before = [], 0, 0
    for size in sizes:
        end = _count(str(size), len(first), len(order))
        if size != "kernels":
            if end < before:
                raise ValueError(f"rollout_rings: {size!r} is less than what precedes it: {sizes}")
            before = end
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
        raise ValueError(f"rollout_rings: {size!r} is not `kernels`, `10%` or a number of hosts")
    if size.endswith("%"):
        return math.ceil(hosts * value / 100 - 1e-9)
    return min(math.ceil(value), hosts)
