#!/usr/bin/python
# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: run
short_description: Run a probe plan on the host, unattended, and return what became of it
version_added: 0.1.0
description:
  - Makes one run with C(probeplan run --unattended), within the plan's limits and the host's
    policies, and waits for its end.
  - The run is kept on the host, in C(/var/lib/probeplan/results). Its events stay there; O(fetch)
    returns the result.
  - A run that is not made since the host is not in the shard, or since another run of the plan
    still goes on, is V(skipped) and
    does not fail.
  - Runs that take longer than a connection should last are made with C(async) and C(poll), see
    the examples. The run ends by its
    own limits, also when the controller is gone.
  - In check mode the plan is explained on the host, and no run is made.
author:
  - The probeplan authors (!UNKNOWN)
extends_documentation_fragment:
  - probeplan.fleet.examination
  - probeplan.fleet.examination.command
options:
  plan:
    description:
      - What to run; the name of an installed plan (M(probeplan.fleet.plan)) or of one that comes
        with probeplan, or the absolute
        path of a plan or bundle.
    type: str
    required: true
  set:
    description:
      - Params of the plan.
    type: dict
    default: {}
  target:
    description:
      - Which tasks are watched, instead of what the plan says. Values may be lists.
    type: dict
    default: {}
  limits:
    description:
      - Limits, instead of those of the plan. Policies can only make them smaller.
    type: dict
    default: {}
  duration:
    description:
      - How long to measure, such as V(30s) or V(10m); the same as C(duration) in O(limits).
    type: str
  label:
    description:
      - A text that the log and the result have, such as a ticket or the ring of a rollout. It is
        part of what O(shard) is drawn
        from.
    type: str
  expires:
    description:
      - The date from which the run is refused, such as V(2026-12-31).
    type: str
  shard:
    description:
      - The share of hosts that make the run, such as V(5%). Growing it only adds hosts.
    type: str
  keep:
    description:
      - How many results of the plan the host keeps, by count and size, such as V(20,200MiB).
    type: str
  command:
    description:
      - A workload to measure, as a list of words. The run ends with it. It is started without a
        shell.
    type: list
    elements: str
  timeout:
    description:
      - Seconds after which the run is asked to end, by SIGTERM, and the task fails. The default
        is to wait for the run's own
        end.
    type: int
  allow_incomplete:
    description:
      - Whether a run that lost data, or was ended before its time (exit code 4), counts as a
        success.
    type: bool
    default: false
  fetch:
    description:
      - Whether to return the parsed C(result.json) as RV(fetched). Events are never fetched.
    type: bool
    default: false
  fetch_to:
    description:
      - Where on the controller to keep C(result.json), as it is. The task fails if that cannot be
        done. Not with C(async).
    type: str
  _pack:
    description:
      - Set by the action plugin, for O(fetch_to). It cannot be given.
    type: bool
    default: false
attributes:
  action:
    description: Whether the action plugin of the same name runs on the controller.
    support: full
  async:
    description: Whether it can run with C(async).
    support: full
  check_mode:
    description: Whether it can run in check mode.
    support: full
  diff_mode:
    description: Whether it shows what it changes.
    support: none
"""

EXAMPLES = r"""
- name: Measure for 10 s
  probeplan.fleet.run:
    plan: slow-io
    set:
      threshold: 5ms
    duration: 10s
    label: ring-1
    fetch: true
  register: measured

- name: Show what was counted
  ansible.builtin.debug:
    msg: "{{ measured.outcome }}, hits {{ measured.hits }}, lost {{ measured.lost }}"

- name: Measure one in twenty hosts for an hour, and look every 30 s whether it is over
  probeplan.fleet.run:
    plan: slow-io
    duration: 1h
    shard: 5%
    expires: 2027-01-31
  async: 4000
  poll: 30

- name: Measure a workload
  probeplan.fleet.run:
    plan: opens
    command: [make, -C, /srv/app, test]
"""

RETURN = r"""
outcome:
  description:
    - What ended the run - C(duration), C(events), C(command), C(stop_when), C(interrupted),
      C(cpu) and the like; or C(skipped),
      C(refused) or C(quarantined) where none was made; C(invalid) for a plan or parameters that
      cannot be used; C(error) where
      there is no record.
    - In check mode C(explained).
  returned: always
  type: str
  sample: duration
exit_code:
  description: The exit code of probeplan.
  returned: always
  type: int
  sample: 0
reason:
  description: Why the run was not made, failed, or is incomplete; empty if nothing is to be said.
  returned: always
  type: str
  sample: this host is not in the shard of 5 %
complete:
  description: Whether everything that the plan asked for was seen, V(true), V(false) or
    V(unknown); V(none) without a run.
  returned: always
  type: raw
  sample: true
lost:
  description: How many events and records were lost, by cause. A count that is not known is
    V(unknown). Empty if nothing was lost.
  returned: always
  type: dict
  sample: {"ring_lost": 12}
hits:
  description: By probe and span, how many events passed its conditions.
  returned: always
  type: dict
  sample: {"read": 5120}
governor_steps:
  description: How often the run had to make itself cheaper, to stay within its limit on CPU time.
  returned: always
  type: int
  sample: 0
quarantine:
  description: The entry of C(probeplan quarantine list) for this plan, if it is in quarantine
    after the run.
  returned: always
  type: dict
  sample: {}
run_id:
  description: The id of the run; V(none) where there is no record.
  returned: always
  type: str
  sample: 6b09cd9b7cd234
result:
  description: The path of result.json on the host; V(none) where none was written.
  returned: always
  type: str
  sample: /var/lib/probeplan/results/slow-io/6b09cd9b7cd234/result.json
fetched:
  description: The parsed result.json.
  returned: with O(fetch=true), if there is a result
  type: dict
findings:
  description: What is wrong with the plan, or why this host refuses it.
  returned: always
  type: list
  elements: dict
  sample: []
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.probeplan.fleet.plugins.module_utils.arguments import (
    COMMAND_SPEC,
    PLAN_SPEC,
    BadArgument,
    check_name,
    check_path,
    run_arguments,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.examination import (
    PlanRefused,
    examine_plan,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.following import follow_run
from ansible_collections.probeplan.fleet.plugins.module_utils.invocation import (
    NotInstalled,
    find_command,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.outcomes import (
    NO_RUN,
    describe_run,
    is_failure,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.plan_files import find_installed
from ansible_collections.probeplan.fleet.plugins.module_utils.results import pack_result

ARGUMENT_SPEC = {
    **COMMAND_SPEC,
    **PLAN_SPEC,
    "plan": {"type": "str", "required": True},
    "duration": {"type": "str"},
    "label": {"type": "str"},
    "expires": {"type": "str"},
    "shard": {"type": "str"},
    "keep": {"type": "str"},
    "command": {"type": "list", "elements": "str"},
    "timeout": {"type": "int"},
    "allow_incomplete": {"type": "bool", "default": False},
    "fetch": {"type": "bool", "default": False},
    "fetch_to": {"type": "str"},
    "_pack": {"type": "bool", "default": False},
}


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    try:
        file = find_plan(check_path("directory", params["directory"]), params["plan"])
        arguments = run_arguments(params, file)
        command = find_command(params["probeplan_command"])
        returned = (explain if module.check_mode else make_run)(module, command, arguments, file)
    except PlanRefused as error:
        refused = {**NO_RUN, "outcome": "refused", "findings": error.findings}
        module.fail_json(msg=str(error), **{**refused, "reason": str(error)})
    except (BadArgument, NotInstalled) as error:
        module.fail_json(msg=str(error), **{**NO_RUN, "reason": str(error)})
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'probeplan'}: {error.strerror}", **NO_RUN)
    if is_failure(returned, params["allow_incomplete"]):
        module.fail_json(msg=returned["reason"] or f"exit code {returned['exit_code']}", **returned)
    module.exit_json(**returned)


def find_plan(directory, plan):
    """The file to run, or the name of a plan that comes with probeplan. Raises BadArgument."""
    if "/" in plan:
        return check_path("plan", plan)
    name = check_name(plan)
    return find_installed(directory, name) or name


def explain(module, command, _arguments, file):
    """What check mode returns. Raises PlanRefused."""
    if module.params["duration"] is not None:
        limits = {**module.params["limits"], "duration": module.params["duration"]}
        module.params["limits"] = limits
    examined = examine_plan(module, command, file, file)
    return {**NO_RUN, "outcome": "explained", "exit_code": 0, "changed": True, **examined}


def make_run(module, command, arguments, _file):
    """What a run returns."""
    ended = follow_run([*command, *arguments], module.params["timeout"])
    returned = describe_run(module, command, ended)
    if returned["result"] is not None and not Path(returned["result"]).is_file():
        returned["result"] = None
    if module.params["_pack"] and returned["result"] is not None:
        returned["packed"] = pack_result(returned["result"])
    return returned


if __name__ == "__main__":
    main()
