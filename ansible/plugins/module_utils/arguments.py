# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""Module parameters as arguments of probeplan, none of which can become another option.

Every value is attached to its option (`--label=TEXT`), and nothing is passed through a shell.
What begins with `--` or cannot be printed is refused all the same: it is a mistake or an attack.
"""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_NAME = 200
_MOST_SHOWN = 60

#: The option of each dict that changes a plan.
_PAIRS = {"set": "--set", "target": "--target", "limits": "--limit"}
#: Parameters of a run that are one text each, and are options of the same name.
_TEXTS = ("duration", "label", "expires", "shard", "keep")

#: What every module that examines a plan accepts.
COMMAND_SPEC = {
    "probeplan_command": {"type": "list", "elements": "str", "default": ["probeplan"]},
}
PLAN_SPEC = {
    "set": {"type": "dict", "default": {}},
    "target": {"type": "dict", "default": {}},
    "limits": {"type": "dict", "default": {}},
    "policies": {"type": "list", "elements": "str", "default": []},
    "backend": {"type": "str", "choices": ["auto", "bcc", "tracefs"], "default": "auto"},
    "directory": {"type": "str", "default": "/etc/probeplan/plans"},
}


class BadArgument(Exception):
    """A parameter that cannot be an argument; its text names parameter, value and reason."""


def check_name(name):
    """`name`, if it can be a plan's file without its ending. Raises BadArgument."""
    if not NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise BadArgument(
            f"name: {_show(name)} is no name of a plan: letters, digits, `.`, `_` and `-`, and no "
            f"`-` or `.` at the beginning, at most {_LONGEST_NAME}"
        )
    return name


def check_path(parameter, path):
    """`path`, if it is absolute. Raises BadArgument."""
    _check_text(parameter, path)
    if not path.startswith("/") or ".." in path.split("/"):
        raise BadArgument(f"{parameter}: {_show(path)} is not an absolute path without `..`")
    return path


def lint_arguments(params, file):
    """The arguments that check the plan or bundle `file`, as JSON."""
    return ["lint", "--format=json", *_override_arguments(params), file]


def explain_arguments(params, file):
    """The arguments that explain the plan or bundle `file` on this host, as JSON."""
    backend = f"--backend={params['backend']}"
    return ["explain", "--json", backend, *_override_arguments(params), file]


def run_arguments(params, file):
    """The arguments of an unattended run of `file`. Raises BadArgument."""
    arguments = ["run", "--unattended", "--no-progress", "--summary=never"]
    arguments += [f"--backend={params['backend']}", *_override_arguments(params)]
    for name in _TEXTS:
        if params.get(name) is not None:
            arguments.append(f"--{name}={_check_text(name, params[name])}")
    return [*arguments, file, *_workload_arguments(params.get("command"))]


def _override_arguments(params):
    """What changes the plan, and the policies that apply besides the host's."""
    arguments = []
    for parameter, option in _PAIRS.items():
        for key, value in (params.get(parameter) or {}).items():
            arguments.append(f"{option}={_pair(parameter, key, value)}")
    for policy in params.get("policies") or ():
        arguments.append(f"--policy={check_path('policies', policy)}")
    return arguments


def _pair(parameter, key, value):
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise BadArgument(f"{parameter}: the key {_show(key)} is not a word: letters, digits, `_`")
    return f"{key}={_text_of(f'{parameter}.{key}', value, parameter == 'target')}"


def _text_of(parameter, value, takes_lists):
    """A value as probeplan's options have it: true, 5, 10ms, or in `target` 12,13."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return _check_text(parameter, value, may_be_negative=True)
    if takes_lists and isinstance(value, (list, tuple)) and value:
        return ",".join(_list_item(parameter, item) for item in value)
    kinds = "a text, a number, true or false" + (", or a list of these" if takes_lists else "")
    raise BadArgument(f"{parameter}: {_show(value)} is not {kinds}")


def _list_item(parameter, item):
    text = _text_of(parameter, item, takes_lists=False)
    if "," in text:
        raise BadArgument(f"{parameter}: {_show(item)} has a comma, which separates items")
    return text


def _check_text(parameter, text, may_be_negative=False):
    """`text`, if it is one printable line and no option."""
    if not text or not text.isprintable():
        raise BadArgument(f"{parameter}: {_show(text)} is not one line of printable text")
    if text.startswith("--" if may_be_negative else "-"):
        raise BadArgument(f"{parameter}: {_show(text)} begins as an option does")
    return text


def _workload_arguments(command):
    """The workload after `--`. Its own words may be anything that a process can be given."""
    if not command:
        return []
    if any("\0" in word for word in command):
        raise BadArgument("command: a word has a NUL, which no process can be given")
    _check_text("command", command[0])
    return ["--", *command]


def _show(value):
    shown = ascii(value)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
