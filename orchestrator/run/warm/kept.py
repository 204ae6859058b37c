"""Prepared plans on disk, so that a run like an earlier one neither reads the plan nor compiles it.

What is kept is used only if its name, which has everything that a plan is prepared from, is that of
this run; if the system's files that were looked at then look the same; and if its directory is our
own and its digest matches. What the kernel gets is made from it by the ordinary way: `attach` is
given the artifact that `explain` shows.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.backends.kept_files import forget_kept, read_kept, write_kept
from orchestrator.compile.program import ResolvedTarget
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tree import FileLook, WatchedTree, is_unchanged
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.model import Plan
from orchestrator.run.choice import BackendChoice, Prepared
from orchestrator.run.warm.any_pid import ANY_PID, change_pid, find_pid, names_pid, without_pid
from orchestrator.run.warm.coding import NotKept, decode_value, encode_value
from orchestrator.run.warm.identity import Request, make_names

__all__ = ["WarmStart", "is_of_the_boot", "read_look"]

_MOST_LOOKS = 200
_OWN = "proc/self/"  # what is there of us is in the name
#: Files that change with the boot and the modules alone, which are in the name.
_OF_THE_BOOT = ("proc/kallsyms", "sys/kernel/btf/", "sys/kernel/debug/kprobes/blacklist")
_FUNCTIONS = "/available_filter_functions"


class WarmStart:
    """What is kept for a request on this host. `facts` are those that the plan is prepared on."""

    def __init__(self, request: Request, facts: KernelFacts) -> None:
        self._request, self._facts = request, facts
        self._looks: tuple[FileLook, ...] | None = None
        self._pid = find_pid(request.overrides)
        requests = [request]
        if self._pid is not None:
            requests.append(replace(request, overrides=without_pid(request.overrides)))
        try:
            self._name, *others = make_names(requests)
        except OSError:  # a host that does not say what it is
            self._name, others = "", []
        #: The same for whatever process, where only one is named.
        self._of_any = others[0] if others else ""

    def recall(self) -> Prepared | None:
        """The plan as it was prepared earlier, perhaps for another process; None where nothing is
        kept that holds now. What policies say of its signature, and the lists of signers, are to be
        looked at again."""
        if self._of_any and self._pid is not None:
            prepared = self._recall(self._of_any, change_pid(ANY_PID, self._pid))
            if prepared is not None:
                return prepared
        return self._recall(self._name)

    def _recall(
        self, name: str, change: Callable[[Any], Any] = lambda value: value
    ) -> Prepared | None:
        body = read_kept(name) if name else None
        if body is None:
            return None
        try:
            kept = json.loads(body)
            if not is_unchanged(Path("/"), map(read_look, kept["looks"])):
                return None
            return self._restore(decode_value(kept["prepared"], change))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, ImportError):
            return None

    def _restore(self, fields: dict[str, Any]) -> Prepared:
        from orchestrator.backends import BACKENDS  # those of the host, as of `prepare`

        artifact, plan = fields["artifact"], fields["plan"]
        choice = BackendChoice(
            backend=BACKENDS[artifact.backend], artifact=artifact, refused=fields["refused"]
        )
        return Prepared(
            plan=plan,
            facts=self._facts,
            policies=fields["policies"],
            program=fields["program"],
            choice=choice,
        )

    def look(self) -> None:
        """Remember what was looked at so far: call it once the plan is prepared."""
        tree = self._facts.tree
        assert isinstance(tree, WatchedTree)  # facts of this host
        looks = tuple(look for look in tree.looks if not look[1].startswith(_OWN))
        if len(looks) <= _MOST_LOOKS and all(map(is_of_the_boot, tree.large)):
            self._looks = looks

    def keep(self, prepared: Prepared) -> None:
        """Keep a plan that was prepared just now, unless it depends on more than the request, the
        kernel and what was looked at."""
        if not self._name or self._looks is None or not self._can_keep(prepared):
            return
        fields = {
            "plan": prepared.plan,
            "program": prepared.program,
            "artifact": prepared.choice.artifact,
            "refused": dict(prepared.choice.refused),
            "policies": prepared.policies,
        }
        try:
            encoded = encode_value(fields)
            of_any = self._free_of_pid(encoded)
        except NotKept:
            return
        if of_any:
            write_kept(self._of_any, of_any.encode())
        else:
            write_kept(self._name, self._dump(encoded).encode())

    def _free_of_pid(self, encoded: dict[str, Any]) -> str:
        """What is kept, with no pid in the place of the target's; "" where there is none, or where
        its number is anywhere else: of a program that does not leave it open, or by chance."""
        if self._pid is None:
            return ""
        changed = encode_value(decode_value(encoded, change_pid(self._pid, ANY_PID)))
        kept = self._dump(changed)
        return "" if names_pid(kept, self._pid) else kept

    def _dump(self, encoded: dict[str, Any]) -> str:
        return json.dumps({"looks": self._looks, "prepared": encoded})

    def forget(self) -> None:
        """Keep nothing for this request any more."""
        for name in filter(None, (self._name, self._of_any)):
            forget_kept(name)

    def _can_keep(self, prepared: Prepared) -> bool:
        given = [hashlib.sha256(content).hexdigest() for _, content in self._request.policies]
        return (
            [policy.sha256 for policy in prepared.policies] == given
            and not _names_files(prepared.program.target)
            and not _probes_files(prepared.plan)
            and not _has_salt(prepared)
        )


def _names_files(target: ResolvedTarget) -> bool:
    """Whether it names cgroups or programs by paths, which can be of others at any time."""
    return any(one.cgroup or one.exe for one in (target, target.left_out))


def _probes_files(plan: Plan) -> bool:
    """Whether it names binaries, which can be replaced at any time."""
    items = [item for probe in plan.probes for item in probe.items]
    return any(KINDS[item.kind].space == "user" for item in items)


def _has_salt(prepared: Prepared) -> bool:
    """Whether digests are shown, whose salt is drawn for each run."""
    from orchestrator.compile.redact import draw_salts  # a run that is not warm has imported it

    return draw_salts(prepared.program) != prepared.program


def is_of_the_boot(path: str) -> bool:
    """Whether the file changes with the boot and the modules alone."""
    return path.startswith(_OF_THE_BOOT) or path.endswith(_FUNCTIONS)


def read_look(kept: Iterable[Any]) -> FileLook:
    """A look as JSON has it. Raises ValueError."""
    how, path, seen = kept
    if how not in ("read", "names", "exists") or not isinstance(path, str):
        raise ValueError("not a look")
    return how, path, tuple(seen) if isinstance(seen, list) else seen
