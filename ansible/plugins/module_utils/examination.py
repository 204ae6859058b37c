# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""Whether this host would run a plan: lint, its policies, signatures, and explain."""

from __future__ import annotations

import json

from ansible_collections.probeplan.fleet.plugins.module_utils.arguments import (
    explain_arguments,
    lint_arguments,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.findings import (
    findings_from_json,
    findings_from_text,
    format_findings,
    merge_findings,
    rename_file,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.invocation import ask


class PlanRefused(Exception):
    """This host would not run the plan: every reason as text, and as `findings`."""

    def __init__(self, text, findings=()):
        super().__init__(text)
        self.findings = list(findings)


def examine_plan(module, command, file, name):
    """Check `file`, called `name` in findings, with the parameters of the module; returns findings
    and what a run would attach. Warns of what is no error. Raises PlanRefused."""
    linted = _lint(module, command, file, name)
    explained, findings = _explain(module, command, file, name, linted)
    for finding in findings:
        module.warn(format_findings([finding]))
    return {
        "findings": findings,
        "plan_sha256": explained["plan_sha256"],
        "signatures": explained["signatures"],
        "backend": explained["backend"],
        "mechanisms": _mechanisms_of(explained),
    }


def _lint(module, command, file, name):
    """The warnings of lint. Raises PlanRefused for errors."""
    code, out, err = ask(module, command, lint_arguments(module.params, file))
    findings = findings_from_json(out) or findings_from_text(err)
    findings = rename_file(findings, file, name)
    if code != 0:
        raise PlanRefused(_reasons(findings, code, err), findings)
    return findings


def _explain(module, command, file, name, known):
    """What a run would attach, and all findings. Raises PlanRefused."""
    code, out, err = ask(module, command, explain_arguments(module.params, file))
    found = rename_file(findings_from_text(err), file, name)
    findings = merge_findings(known, found)
    if code != 0:
        raise PlanRefused(_reasons(found, code, err), findings)
    try:
        return json.loads(out), findings
    except ValueError:
        raise PlanRefused(f"probeplan explain printed no JSON: {out[:200]!r}", findings) from None


def _reasons(findings, code, err):
    """The errors, one for each line; where there are none, all that was printed."""
    errors = [finding for finding in findings if finding["severity"] == "error"]
    return format_findings(errors) or f"exit code {code}: {err.strip()}"


def _mechanisms_of(explained):
    return {
        probe["probe"]: sorted({hook["mechanism"] for hook in probe["hooks"]})
        for probe in explained["probes"]
    }
