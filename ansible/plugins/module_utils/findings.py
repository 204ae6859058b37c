# Copyright: the probeplan authors
# SPDX-License-Identifier: Apache-2.0

"""Findings: what probeplan has to say of a plan, as `lint --format json` and as its other commands
print it on standard error."""

from __future__ import annotations

import json
import re

#: FILE:LINE:COLUMN: SEVERITY[CODE]: MESSAGE, where LINE and COLUMN may be left out.
_HEAD = re.compile(
    r"(?P<file>.+?)(?::(?P<line>\d+):(?P<column>\d+))?: "
    r"(?P<severity>error|warning)\[(?P<code>PP\d{3})\]: (?P<message>.*)"
)
_HINT = "  hint: "
_INDENT = "  "


def findings_from_json(text):
    """The findings in what `lint --format json` printed; none where it is not that."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def findings_from_text(text):
    """The findings among the lines of a standard error, of the same form as those of JSON."""
    findings = []
    part = None
    for line in text.split("\n"):
        head = _HEAD.fullmatch(line)
        if head and not line.startswith(_INDENT):
            findings.append(_from_head(head))
            part = "message"
        elif part and line.startswith(_HINT):
            findings[-1]["hint"] = line[len(_HINT) :]
            part = "hint"
        elif part and line.startswith(_INDENT):
            findings[-1][part] += "\n" + line[len(_INDENT) :]
        else:
            part = None
    return findings


def _from_head(head):
    found = head.groupdict()
    return {
        "file": found["file"],
        "line": int(found["line"] or 0),
        "column": int(found["column"] or 0),
        "severity": found["severity"],
        "code": found["code"],
        "message": found["message"],
        "hint": "",
    }


def merge_findings(*groups):
    """All findings, each once."""
    merged = []
    for group in groups:
        merged += [finding for finding in group if finding not in merged]
    return merged


def rename_file(findings, known_as, name):
    """The findings, with the file `known_as` on the host called `name`, also within texts."""
    renamed = []
    for finding in findings:
        texts = {key: finding[key].replace(known_as, name) for key in ("file", "message", "hint")}
        renamed.append({**finding, **texts})
    return renamed


def format_findings(findings):
    """One line for each: FILE:LINE:COLUMN: SEVERITY[CODE]: MESSAGE (HINT)."""
    return "\n".join(_format(finding) for finding in findings)


def _format(finding):
    place = finding["file"]
    if finding["line"]:
        place = f"{place}:{finding['line']}:{finding['column']}"
    hint = f" (hint: {finding['hint']})" if finding["hint"] else ""
    text = f"{finding['message']}{hint}".replace("\n", " ")
    return f"{place}: {finding['severity']}[{finding['code']}]: {text}"
