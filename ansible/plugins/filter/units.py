# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""A run's parameters as the configuration of a systemd unit."""

from __future__ import annotations

from ansible_collections.probeplan.fleet.plugins.module_utils.arguments import run_arguments

#: In place of a file.
_FILE = "/"
_IN_THE_UNIT = (_FILE, "run", "--unattended", "--no-progress")


class FilterModule:
    """The filters of this file, by name."""

    def filters(self):
        return {"unit_options": format_unit_options}


def format_unit_options(parameters):
    """The parameters of the module `run` as OPTIONS of the unit probeplan-once@, which adds what
    every unattended run has. Raises ValueError for what a unit cannot hold."""
    words = [word for word in run_arguments(parameters, _FILE) if word not in _IN_THE_UNIT]
    return " ".join(_quote_for_unit(word) for word in words)


def _quote_for_unit(word):
    """A word of `$OPTIONS`, which systemd splits as a shell does: systemd.service(5), "Command
    lines". `%` begins a specifier."""
    if set(word) & set("'\"\\"):
        raise ValueError(f"{word}: a quote or a backslash cannot be passed to a unit")
    escaped = word.replace("%", "%%")
    return f"'{escaped}'" if " " in word else escaped
