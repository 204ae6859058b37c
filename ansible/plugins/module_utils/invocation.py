# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""probeplan on this host: where it is, and what it answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.module_utils.common.process import get_bin_path


class NotInstalled(Exception):
    """There is no probeplan where it was looked for; its text says where, and what to do."""


def find_command(words):
    """The command as a list whose first word is an executable's path. Raises NotInstalled."""
    if not words or not words[0]:
        raise NotInstalled("probeplan_command is empty: name a path, or a list of words")
    program = words[0]
    if "/" in program:
        if not os.access(program, os.X_OK) or Path(program).is_dir():
            raise NotInstalled(f"there is no executable {program!r} on this host ({_CURE})")
        return list(words)
    try:
        return [get_bin_path(program), *words[1:]]
    except ValueError:
        raise NotInstalled(f"there is no {program!r} in PATH on this host ({_CURE})") from None


_CURE = "install probeplan, or set probeplan_command to where it is"


def ask(module, command, arguments):
    """The exit code, standard output and standard error of a short command, run without a shell and
    away from files of the user's folder that a plan's name could mean."""
    return module.run_command([*command, *arguments], cwd="/", handle_exceptions=False)


def ask_json(module, command, arguments):
    """What a command prints as JSON; None where it fails, or prints none."""
    code, out, _err = ask(module, command, arguments)
    try:
        return json.loads(out) if code == 0 else None
    except ValueError:
        return None


def list_quarantined(module, command):
    """The plans that are in quarantine on this host, as `probeplan quarantine list` has them; None
    where it cannot say."""
    found = ask_json(module, command, ["quarantine", "list", "--format=json"])
    return found if isinstance(found, list) else None
