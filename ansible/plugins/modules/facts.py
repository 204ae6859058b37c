#!/usr/bin/python
# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: facts
short_description: Find out what a host offers for probe plans
version_added: 0.1.0
description:
  - Sets C(ansible_facts.probeplan) - the release of probeplan, the kernel with its build id, the
    backends, and the plans that
    are in quarantine.
  - Where probeplan is missing, the module says so and does not fail.
  - Changes nothing.
author:
  - The probeplan authors (!UNKNOWN)
extends_documentation_fragment:
  - probeplan.fleet.examination.command
options:
  gather:
    description:
      - What to ask probeplan for, in addition to its release. Each takes the host a tenth of a
        second. What is not asked for is empty.
    type: list
    elements: str
    choices: [backends, quarantine]
    default: [backends, quarantine]
attributes:
  check_mode:
    description: Whether it can run in check mode.
    support: full
  diff_mode:
    description: Whether it shows what it changes.
    support: none
  facts:
    description: Whether it returns facts.
    support: full
"""

EXAMPLES = r"""
- name: Look at the host
  probeplan.fleet.facts:

- name: Leave out hosts without probeplan
  ansible.builtin.meta: end_host
  when: not ansible_facts.probeplan.installed
"""

RETURN = r"""
ansible_facts:
  description: What the host offers.
  returned: always
  type: dict
  contains:
    probeplan:
      description: What the host offers.
      returned: always
      type: dict
      contains:
        installed:
          description: Whether probeplan was found.
          type: bool
          returned: always
          sample: true
        why:
          description: Why it was not found, and what to do; empty if it was.
          type: str
          returned: always
          sample: ""
        release:
          description: The release of probeplan, V(none) where there is none, or it runs from a
            source tree.
          type: str
          returned: always
          sample: 0.1.0
        kernel:
          description: The release of the kernel.
          type: str
          returned: always
          sample: 6.1.0-28-amd64
        build_id:
          description: The build id of the running kernel, V(none) where it cannot be read.
            Kernels with one build id are the same.
          type: str
          returned: always
          sample: 5b1f6e0c9d8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c
        arch:
          description: The architecture of the machine.
          type: str
          returned: always
          sample: x86_64
        backends:
          description:
            - By backend, whether it works here (RV(ignore:state) is V(yes), V(no) or V(unknown)),
              and why.
            - Bundles need C(bpf) only, plans need C(bcc) or C(tracefs).
          type: dict
          returned: always
          sample: {"bcc": {"state": "yes", "detail": "libbcc.so.0"}}
        quarantined:
          description: The plans that are in quarantine, as C(probeplan quarantine list) has them.
          type: list
          elements: dict
          returned: always
          sample: []
"""

import os
import struct
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.probeplan.fleet.plugins.module_utils.arguments import COMMAND_SPEC
from ansible_collections.probeplan.fleet.plugins.module_utils.invocation import (
    NotInstalled,
    ask,
    ask_json,
    find_command,
    list_quarantined,
)

#: ELF notes of the running kernel: include/uapi/linux/elf.h, NT_GNU_BUILD_ID.
_NOTES = "/sys/kernel/notes"
_BUILD_ID = 3
_BACKENDS = ("bcc", "bpf", "tracefs")
_GATHER = ["backends", "quarantine"]
ARGUMENT_SPEC = {
    **COMMAND_SPEC,
    "gather": {"type": "list", "elements": "str", "choices": _GATHER, "default": _GATHER},
}


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(changed=False, ansible_facts={"probeplan": find_facts(module)})


def find_facts(module):
    """All facts of this host."""
    machine = os.uname()
    facts = {
        "installed": False,
        "why": "",
        "release": None,
        "kernel": machine.release,
        "build_id": read_build_id(_NOTES),
        "arch": machine.machine,
        "backends": {},
        "quarantined": [],
    }
    try:
        command = find_command(module.params["probeplan_command"])
        code, out, err = ask(module, command, ["--version"])
    except (NotInstalled, OSError) as error:
        return {**facts, "why": str(error)}
    if code != 0:
        return {**facts, "why": f"probeplan --version: exit code {code}: {err.strip()}"}
    release = out.split()[1:2]
    wanted = module.params["gather"]
    return {
        **facts,
        "installed": True,
        "release": release[0] if release and release[0][:1].isdigit() else None,
        "backends": find_backends(module, command) if "backends" in wanted else {},
        "quarantined": (list_quarantined(module, command) or []) if "quarantine" in wanted else [],
    }


def find_backends(module, command):
    """By backend: its state, and why it is that."""
    answer = ask_json(module, command, ["doctor", "--json"]) or {}
    features = answer.get("features", {})
    return {name: features[name] for name in _BACKENDS if name in features}


def read_build_id(path):
    """The build id in a file of ELF notes; None where there is none."""
    try:
        notes = Path(path).read_bytes()
    except OSError:
        return None
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("=III", notes, at)
        name = notes[at + 12 : at + 12 + name_size].rstrip(b"\0")
        start = at + 12 + (name_size + 3) // 4 * 4
        if kind == _BUILD_ID and name == b"GNU":
            return notes[start : start + size].hex()
        at = start + (size + 3) // 4 * 4
    return None


if __name__ == "__main__":
    main()
