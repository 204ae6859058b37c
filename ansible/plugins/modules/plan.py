#!/usr/bin/python
# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: plan
short_description: Install a probe plan or bundle after it was checked on the host
version_added: 0.1.0
description:
  - Installs a plan, or a bundle with its programs, and its signature.
  - Before anything is changed, the host checks it with its own probeplan, policies and kernel -
    C(lint), the signature, and
    C(explain), which compiles it without attaching anything. A plan that the host could not run,
    or would refuse, is not
    installed, and the task fails with every finding.
  - In check mode all of this is done with a temporary copy, and nothing is changed.
  - A name has one file, NAME.yaml or NAME.ppb. Installing one removes the other.
author:
  - The probeplan authors (!UNKNOWN)
extends_documentation_fragment:
  - probeplan.fleet.examination
  - probeplan.fleet.examination.command
options:
  src:
    description:
      - The plan or bundle on the controller. It is looked for as M(ansible.builtin.copy) does.
      - Its bytes are installed as they are, since a signature is of bytes. Templates are not
        filled in; use O(set).
      - Required with O(state=present).
    type: str
  name:
    description:
      - What the plan is called on the host; the file's name without its ending. Default is that
        of O(src).
      - Required with O(state=absent), unless there is O(src).
    type: str
  state:
    description:
      - V(absent) removes the plan, the bundle and the signatures of that name. Runs that have
        begun are not stopped.
    type: str
    choices: [present, absent]
    default: present
  signature:
    description:
      - The signature's file on the controller, made by C(ssh-keygen -Y sign -n probeplan -f KEY
        PLAN).
      - V(auto) takes the file SRC.sig where there is one. V(none) installs no signature.
    type: str
    default: auto
  set:
    description:
      - Params of the plan to check it with, as it will be run. They are not installed.
    type: dict
    default: {}
  target:
    description:
      - The target to check it with. Values may be lists.
    type: dict
    default: {}
  limits:
    description:
      - Limits to check it with.
    type: dict
    default: {}
  _staged:
    description:
      - What the action plugin sent to the host. It cannot be given.
    type: dict
    suboptions:
      content:
        description:
          - The file in base64, if it is small.
        type: str
      signature:
        description:
          - The signature in base64, with O(_staged.content).
        type: str
      path:
        description:
          - Where the file was sent to, if it is large. Its signature is next to it.
        type: str
      sha256:
        description:
          - The SHA-256 of the file at O(_staged.path).
        type: str
      signed:
        description:
          - Whether there is a signature of the file at O(_staged.path).
        type: bool
attributes:
  action:
    description: Whether the action plugin of the same name runs on the controller.
    support: full
  check_mode:
    description: Whether it can run in check mode.
    support: full
  diff_mode:
    description: Whether it shows what it changes. Of a plan the text is shown, of bundles and
      signatures the digest.
    support: full
"""

EXAMPLES = r"""
- name: Install a plan with its signature, slow-io.yaml.sig, if there is one
  probeplan.fleet.plan:
    src: slow-io.yaml

- name: Install a bundle, for hosts without a compiler, checked as it will be run
  probeplan.fleet.plan:
    src: build/slow-io.ppb
    signature: build/slow-io.ppb.sig
    set:
      threshold: 5ms
    limits:
      duration: 30s

- name: Remove a plan
  probeplan.fleet.plan:
    name: slow-io
    state: absent
"""

RETURN = r"""
name:
  description: What the plan is called.
  returned: always
  type: str
  sample: slow-io
path:
  description: The installed file, in check mode the one that would be; V(none) where it was
    removed.
  returned: success
  type: str
  sample: /etc/probeplan/plans/slow-io.yaml
sha256:
  description: The SHA-256 of the file.
  returned: when a file is or would be installed
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
plan_sha256:
  description: The SHA-256 of the plan, which policies and results have. It is that of the file
    unless it is a bundle.
  returned: when a file is or would be installed
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
signatures:
  description: By what each policy with rules for signatures accepts the file.
  returned: when a file is or would be installed
  type: list
  elements: dict
  sample:
    - policy: /etc/probeplan/policy.yaml
      status: accepted
      principal: ci@example.com
backend:
  description: The backend that a run would take.
  returned: when a file is or would be installed
  type: str
  sample: bcc
mechanisms:
  description: By probe, how a run would attach it.
  returned: when a file is or would be installed
  type: dict
  sample: {"read": ["fentry"]}
findings:
  description:
    - All findings of C(lint) and C(explain), as C(lint --format json) has them. RV(ignore:file)
      is O(src), RV(ignore:line)
      and RV(ignore:column) count from 1.
    - Where the task fails, C(msg) has a line for each error.
  returned: when the plan was checked
  type: list
  elements: dict
  sample:
    - file: slow-io.yaml
      line: 8
      column: 5
      severity: error
      code: PP030
      message: the plan has no key 'name'
      hint: known here are apiVersion, kind, metadata
"""

import base64
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.probeplan.fleet.plugins.module_utils import plan_files
from ansible_collections.probeplan.fleet.plugins.module_utils.arguments import (
    COMMAND_SPEC,
    PLAN_SPEC,
    BadArgument,
    check_name,
    check_path,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.examination import (
    PlanRefused,
    examine_plan,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.invocation import (
    NotInstalled,
    find_command,
)

ARGUMENT_SPEC = {
    **COMMAND_SPEC,
    **PLAN_SPEC,
    "src": {"type": "str"},
    "name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "signature": {"type": "str", "default": "auto"},
    "_staged": {
        "type": "dict",
        "options": {
            # Not logged: they are long.
            "content": {"type": "str", "no_log": True},
            "signature": {"type": "str", "no_log": True},
            "path": {"type": "str"},
            "sha256": {"type": "str"},
            "signed": {"type": "bool"},
        },
    },
}


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ["src"]), ("state", "absent", ["name", "src"], True)],
        supports_check_mode=True,
    )
    params = module.params
    try:
        name = check_name(params["name"] or _stem(params["src"]))
        directory = check_path("directory", params["directory"])
        act = install_plan if params["state"] == "present" else remove_plan
        module.exit_json(name=name, **act(module, directory, name))
    except PlanRefused as error:
        module.fail_json(msg=str(error), name=name, findings=error.findings)
    except (BadArgument, NotInstalled) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'probeplan'}: {error.strerror}")


def install_plan(module, directory, name):
    """Check the staged files and install them; returns what the module returns."""
    staged, content, signature = _read_staged(module)
    command = find_command(module.params["probeplan_command"])
    examined = examine_plan(module, command, staged, module.params["src"])
    path = str(Path(directory, name + plan_files.ending_of(content)))
    wanted = dict.fromkeys(plan_files.files_of(directory, name))
    wanted.update({path + plan_files.SIGNATURE: signature, path: content})
    return {
        "path": path,
        "sha256": plan_files.digest(content),
        **examined,
        **apply_changes(module, wanted),
    }


def remove_plan(module, directory, name):
    """Remove all files of the name; returns what the module returns."""
    return {
        "path": None,
        **apply_changes(module, dict.fromkeys(plan_files.files_of(directory, name))),
    }


def apply_changes(module, wanted):
    """Make each file what it is wanted to be (None: absent), unless in check mode. Signatures are
    written before what they sign: in between, a run is refused rather than made unsigned."""
    changes = []
    for path, content in sorted(wanted.items(), key=lambda item: not item[0].endswith(".sig")):
        before = plan_files.read_or_none(path)
        if before == content:
            continue
        changes.append(_diff(path, before, content))
        if module.check_mode:
            continue
        if content is None:
            Path(path).unlink()
        else:
            plan_files.write_file(path, content)
    return {"changed": bool(changes), "diff": changes}


def _diff(path, before, after):
    return {
        "before_header": path,
        "after_header": path,
        "before": plan_files.describe(path, before),
        "after": plan_files.describe(path, after),
    }


def _read_staged(module):
    """Where what the action plugin sent is, its bytes, and those of the signature, or None."""
    staged = module.params["_staged"]
    if staged is None:
        raise BadArgument("the action plugin of this module did not run: call it as a task")
    if staged["content"] is not None:
        return _write_staged(Path(module.tmpdir), staged)
    path = staged["path"]
    content = plan_files.read_or_none(path)
    if content is None or plan_files.digest(content) != staged["sha256"]:
        raise BadArgument(f"{path} is not what was sent")
    signature = plan_files.read_or_none(path + plan_files.SIGNATURE) if staged["signed"] else None
    return path, content, signature


def _write_staged(folder, staged):
    """The same of files that came with the parameters; `folder` is removed when the module ends."""
    content = base64.b64decode(staged["content"])
    path = folder / f"plan{plan_files.ending_of(content)}"
    path.write_bytes(content)
    signature = staged["signature"] and base64.b64decode(staged["signature"])
    if signature:
        Path(f"{path}{plan_files.SIGNATURE}").write_bytes(signature)
    return str(path), content, signature or None


def _stem(path):
    name = Path(path).name
    endings = (*plan_files.ENDINGS, ".yml")
    return next((name[: -len(end)] for end in endings if name.endswith(end)), name)


if __name__ == "__main__":
    main()
