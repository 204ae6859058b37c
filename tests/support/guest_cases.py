"""Many cases in one boot: the host's side of tests/guest/driver.py, free of pytest."""

import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.lab import GuestLost, Kernel, run_in_guest
from orchestrator.lab.guest import GUEST_SHARE, find_python
from tests.guest.driver import call
from tests.support.paths import ROOT

BOOT_SECONDS, SECONDS_PER_CASE = 120, 20


class CaseFailed(AssertionError):
    """The case raised inside the guest; the text is its traceback there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`call`: "module:function", run in the guest with `kwargs` (JSON).

    `prepare`: a "module:function" that runs on this host before the boot, as
    f(kernel, share, **kwargs), and returns further kwargs: for what is slow in a guest, such as
    compiling. Files that it puts under `share` are under $PROBEPLAN_SHARE in the guest.
    `modules`: kernel modules that the case needs.
    """

    id: str
    call: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    prepare: str | None = None
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of a case: `outcome` is returned, raised, unsupported or lost."""

    outcome: str
    value: Any = None
    text: str = ""
    seconds: float = 0.0
    kernel: Kernel
    lost: GuestLost | None = None

    def result(self) -> Any:
        """What the case returned. Raises CaseFailed if it raised."""
        if self.outcome != "returned":
            raise CaseFailed(f"in kernel {self.kernel.release}:\n{self.text}")
        return self.value


class GuestCases:
    """Runs cases in as few boots of one kernel as it takes: one, unless a case kills it.

    `boot_tries`: how often a machine is started that is lost before its first case.
    `lost_boots`: those losses.
    """

    def __init__(self, kernel: Kernel, share: Path, *, boot_tries: int = 2) -> None:
        self.kernel = kernel
        self.share = share
        self.boot_tries = boot_tries
        self.lost_boots: list[GuestLost] = []
        self.results: dict[str, CaseResult] = {}
        self.boots = 0

    def run(self, cases: Iterable[Case]) -> dict[str, CaseResult]:
        """The result of each case by its id.

        A case during which the machine or the driver dies is `lost`; the ones after it run in a
        fresh boot. Raises GuestLost when no boot gets as far as starting a case.
        """
        left = list(cases)
        modules = sorted({module for case in left for module in case.modules})
        calls = [made for case in left if (made := self._prepared(case))]
        while calls:
            try:
                self._boot(calls, modules)
            except GuestLost as lost:
                self.lost_boots.append(lost)
                if len(self.lost_boots) == self.boot_tries:
                    raise
            calls = [made for made in calls if made["id"] not in self.results]
        return self.results

    def _prepared(self, case: Case) -> dict[str, Any] | None:
        kwargs = dict(case.kwargs)
        if case.prepare:
            try:
                more = call(case.prepare, {"kernel": self.kernel, "share": self.share} | kwargs)
            except Exception:
                text = traceback.format_exc()
                self.results[case.id] = CaseResult(outcome="raised", text=text, kernel=self.kernel)
                return None
            kwargs |= more
        return {"id": case.id, "call": case.call, "kwargs": kwargs}

    def _boot(self, calls: Sequence[Mapping[str, Any]], modules: Sequence[str]) -> None:
        (self.share / "cases.json").write_text(json.dumps(calls))
        results = self.share / "results.jsonl"
        results.unlink(missing_ok=True)
        arguments = [str(GUEST_SHARE / "cases.json"), str(GUEST_SHARE / results.name)]
        self.boots += 1
        try:
            end = run_in_guest(
                self.kernel,
                [find_python(self.kernel), "-m", "tests.guest.driver", *arguments],
                share=self.share,
                timeout_s=BOOT_SECONDS + SECONDS_PER_CASE * len(calls),
                modules=modules,
                cwd=ROOT,
            )
            lost = GuestLost(f"the driver ended with {end.returncode}", end.stderr)
        except GuestLost as error:
            lost = error
        self._collect(results, lost)

    def _collect(self, path: Path, lost: GuestLost) -> None:
        """Takes over the records; a case that only started is the one that was lost."""
        lines = path.read_text().splitlines() if path.exists() else []
        records: dict[str, dict[str, Any]] = {}
        for line in lines:
            record = json.loads(line)
            records[record.pop("id")] = record
        if not records:
            raise lost
        for name, record in records.items():
            started = record["outcome"] == "started"
            more: dict[str, Any] = {"outcome": "lost", "lost": lost} if started else record
            self.results[name] = CaseResult(kernel=self.kernel, **more)
