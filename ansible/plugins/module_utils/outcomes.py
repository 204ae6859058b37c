# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""What became of a run: its last record, its result and the host's quarantine as return values."""

from __future__ import annotations

from ansible_collections.probeplan.fleet.plugins.module_utils.findings import (
    findings_from_text,
    format_findings,
)
from ansible_collections.probeplan.fleet.plugins.module_utils.invocation import list_quarantined
from ansible_collections.probeplan.fleet.plugins.module_utils.results import (
    hits_of,
    losses_by_cause,
    read_result,
)

INVALID, INCOMPLETE = 2, 4
_MOST_TEXT = 2000
#: Outcomes of a run that was not made.
UNMADE = ("skipped", "refused", "quarantined")

#: What is returned where there was no run.
NO_RUN = {
    "changed": False,
    "outcome": "invalid",
    "exit_code": INVALID,
    "reason": "",
    "complete": None,
    "lost": {},
    "hits": {},
    "governor_steps": 0,
    "quarantine": {},
    "run_id": None,
    "result": None,
    "findings": [],
}


def is_failure(returned, allow_incomplete):
    """Whether the task fails. The exit code of a run that was skipped is 0; that of one that was
    not made since the disk is full is 4, too."""
    code = returned["exit_code"]
    is_part = code == INCOMPLETE and returned["outcome"] not in UNMADE
    return code != 0 and not (is_part and allow_incomplete)


def describe_run(module, command, ended):
    """What the module returns of a run that `ended` (a following.Ended)."""
    findings = findings_from_text(ended.messages)
    returned = {**NO_RUN, "exit_code": ended.exit_code, "findings": findings}
    record = ended.record or {}
    if "outcome" in record:
        returned.update(_of_record(record))
        returned["governor_steps"] = ended.governor_steps
    elif ended.exit_code != INVALID:
        returned["outcome"] = "error"
    if returned["result"] is not None:
        returned.update(_of_result(module, returned["result"]))
    if returned["exit_code"] != 0:
        returned["quarantine"] = _find_quarantine(module, command, record)
        returned["reason"] = returned["reason"] or _reason(ended, findings)
    if ended.timed_out:
        late = f"the run was asked to end after {module.params['timeout']} s, the task's timeout"
        returned["reason"] = f"{late}; {returned['reason']}".rstrip("; ")
    return returned


def _of_record(record):
    """What the last record of the log says."""
    reasons = [record.get("reason"), record.get("error"), *record.get("incomplete_because", ())]
    returned = {
        "changed": record["outcome"] not in UNMADE,
        "outcome": record["outcome"],
        "reason": "; ".join(reason for reason in reasons if reason),
        "complete": record.get("complete"),
        "run_id": record.get("run_id"),
        "result": record.get("result"),
    }
    if "ledger" in record:
        returned.update({"lost": losses_by_cause(record), "hits": hits_of(record["ledger"])})
    return returned


def _of_result(module, path):
    """The parsed result, if it is to be fetched. That it cannot be read fails nothing else."""
    if not module.params["fetch"]:
        return {}
    try:
        return {"fetched": read_result(path)}
    except (OSError, ValueError) as error:
        module.warn(f"the result cannot be fetched: {error}")
        return {"result": None}


def _find_quarantine(module, command, record):
    """This plan's entry of the quarantine; empty where it has none."""
    digest = record.get("plan_sha256")
    entries = (list_quarantined(module, command) or []) if digest else []
    return next((entry for entry in entries if entry.get("plan_sha256") == digest), {})


def _reason(ended, findings):
    """Why there was no run, or what went wrong, from what was printed for people."""
    errors = [finding for finding in findings if finding["severity"] == "error"]
    said = [line for line in ended.messages.splitlines() if not line.startswith("usage: ")]
    text = "\n".join(said).strip().removeprefix("probeplan run: error: ")
    return format_findings(errors) or text[-_MOST_TEXT:] or "nothing was printed"
