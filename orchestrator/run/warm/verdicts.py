"""Whether this host can run plans, kept from one question to the next.

What is kept has a name with everything that a plan is prepared from but the plan, whose digest is
part of the entry; and it is used only if all system files that were looked at look as they did, as
for prepared plans (`orchestrator.run.warm.kept`). Nothing is kept of plans that probe files of user
space, which can be replaced at any time.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.backends.kept_files import read_kept, write_kept
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tree import FileLook, WatchedTree, is_unchanged
from orchestrator.run.warm.identity import Request, make_name
from orchestrator.run.warm.kept import is_of_the_boot, read_look

__all__ = ["KeptVerdicts"]

_OWN = "proc/self/"  # what is there of us is in the name
_MOST_LOOKS = 4_000  # the formats of the events of all shipped plans are some hundred

#: What is kept of one plan, as JSON has it.
KeptFields = Mapping[str, Any]


class KeptVerdicts:
    """What is kept on this host under policies, whose files are given with their bytes."""

    def __init__(self, facts: KernelFacts, policies: tuple[tuple[str, bytes], ...]) -> None:
        self._facts = facts
        self._name = _name_of(policies)
        self._looks, self._verdicts = _read(self._name)
        self._changed = False

    def recall(self, digest: str) -> KeptFields | None:
        """What was added for the plan with this digest; None where nothing that holds is kept."""
        return self._verdicts.get(digest)

    def add(self, digest: str, fields: KeptFields) -> None:
        """Keep `fields` for a plan, which depend on its bytes and on this kernel alone."""
        self._verdicts[digest] = fields
        self._changed = True

    def keep(self) -> None:
        """Write what was added, if all that it depends on can be looked at again."""
        tree = self._facts.tree
        assert isinstance(tree, WatchedTree)  # facts of this host
        if not self._changed or not self._name or not all(map(is_of_the_boot, tree.large)):
            return
        looks = {look[:2]: look for look in (*self._looks, *tree.looks)}
        kept = [look for look in looks.values() if not look[1].startswith(_OWN)]
        if len(kept) <= _MOST_LOOKS:
            body = json.dumps({"looks": kept, "verdicts": self._verdicts})
            write_kept(self._name, body.encode())


def _name_of(policies: tuple[tuple[str, bytes], ...]) -> str:
    """ "" on a host that does not say what it is."""
    request = Request(
        content=b"",
        file="verdicts",
        overrides={},
        backend="auto",
        follow_children=False,
        policies=policies,
    )
    try:
        return make_name(request)
    except OSError:
        return ""


def _read(name: str) -> tuple[tuple[FileLook, ...], dict[str, KeptFields]]:
    """The looks and the verdicts that are kept and hold; none where anything is not as it was."""
    body = read_kept(name) if name else None
    if body is None:
        return (), {}
    try:
        kept = json.loads(body)
        looks = tuple(map(read_look, kept["looks"]))
        if is_unchanged(Path("/"), looks):
            return looks, dict(kept["verdicts"])
    except (ValueError, KeyError, TypeError):
        pass
    return (), {}
