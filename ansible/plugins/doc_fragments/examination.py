# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""Options that several modules have, as module_utils.arguments has them."""

from __future__ import annotations


class ModuleDocFragment:
    """Of modules that examine a plan; COMMAND also of others."""

    DOCUMENTATION = r"""
options:
  policies:
    description:
      - Files of further policies on the host. They can only be stricter than the host's own.
    type: list
    elements: str
    default: []
  backend:
    description:
      - How to attach. V(auto) takes the first backend that supports the plan.
    type: str
    choices: [auto, bcc, tracefs]
    default: auto
  directory:
    description:
      - Where plans are on the host.
    type: str
    default: /etc/probeplan/plans
"""

    COMMAND = r"""
options:
  probeplan_command:
    description:
      - The command of probeplan on the host, as a path, a name in E(PATH), or a list of words.
    type: list
    elements: str
    default: [probeplan]
"""
