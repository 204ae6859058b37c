"""Plans that the tests of the plan language share, and ways to damage them."""

import copy
import random
from pathlib import Path
from typing import Any

from orchestrator.plan.document.parse import parse_document
from tests.support.paths import PLAN_DATA

VALID = sorted((PLAN_DATA / "valid").glob("*.yaml"))
RECIPES = sorted((PLAN_DATA / "recipes").glob("*.yaml"))

HEAD = "apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: example, summary: An example}\n"


def probe(body: str, *, before: str = "", attach: str = "function:vfs_read") -> bytes:
    """A plan with one probe `read`; `body` holds its keys, one a line."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{HEAD}{before}\nprobes:\n  read:\n    attach: {attach}\n{lines}".encode()


def data_of(path: Path) -> dict[str, Any]:
    """A plan file as plain data."""
    document, findings = parse_document(path.read_bytes(), path.name)
    assert document is not None, findings
    return document.data


STRANGE: list[Any] = [
    *("", "x", "none", "1/10", "10ms", "10 ms", "32MiB", "$(params.x)", "$(", "a\n", "é", "-1"),
    *("function:vfs_read", "function:", ":", "a.b", "params.ratio", "x" * 5000, "{", "not"),
    *(0, 1, -1, 1 << 70, True, False, [], {}, [1], [[]], ["comm", "comm"], {"x": {}}, {"to": 3}),
    *({"a\n": "b"}, {"count": True}, ["a", True, 1]),
]


def damaged(data: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy of `data` with one to three changes: values replaced, keys renamed, moved, dropped."""
    changed = copy.deepcopy(data)
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(_slots(changed))
        match chance.randint(0, 3):
            case 0 | 1:
                holder[key] = copy.deepcopy(chance.choice(STRANGE))
            case 2 if isinstance(holder, dict):
                holder[chance.choice(["x", "", "from_", "Attach", "emit", "é\n"])] = holder.pop(key)
            case _:
                del holder[key]
    return changed


def _slots(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    slots = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            slots += _slots(value[key])
    return slots or [({"x": 1}, "x")]
