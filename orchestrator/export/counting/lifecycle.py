"""What became of runs, from all records but those of metrics."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
from orchestrator.export.own_families import OwnSeries
from orchestrator.values import dataclass

__all__ = ["LAST_EVENTS", "LiveRun", "RunLifecycle"]

#: One of these is the last record of each run, made or not.
LAST_EVENTS = frozenset(("run.finished", "run.skipped", "run.refused"))

_REASONS = ("ring", "output", "missed", "map", "unreported")
_STEPS = ("sample", "detach", "stop")
_INFO = ("backend", "version", "arch", "kernel", "host", "plan_sha256", "label")
_COMPLETE: Mapping[Any, float] = {True: 1, False: 0, "unknown": float("nan")}
_NS = 1e9


@dataclass(slots=True)
class LiveRun:
    """A run of which records were read, and its end was not. `is_whole`: its beginning was read;
    `lost`: how much its records said was lost."""

    plan: str
    is_whole: bool = False
    lost: int = 0


class RunLifecycle:
    """Keeps the families of `own` that are about runs."""

    def __init__(self, own: OwnSeries) -> None:
        self._own = own
        self._latest: dict[str, LiveRun] = {}
        self._readers: Mapping[str, Callable[[Mapping[str, Any], LiveRun], None]] = {
            "run.started": self._start,
            "probe.attached": self._attach,
            "probe.skipped": self._skip,
            "events.lost": self._lose,
            "governor.stepped": self._govern,
            "limit.reached": self._limit,
            "metric.warned": self._warn,
            "run.finished": self._finish,
            "run.skipped": self._leave_out,
            "run.refused": self._leave_out,
        }

    def accept(self, record: Mapping[str, Any], run: LiveRun) -> None:
        """Raises KeyError, TypeError, AttributeError or ValueError for what is no such record.
        Kinds that say nothing of a run are passed over."""
        reader = self._readers.get(record["event"])
        if reader is not None:
            reader(record, run)

    def know_plan(self, plan: str) -> None:
        """What can be counted is there from the beginning, as 0: an increase can be seen then."""
        for reason in _REASONS:
            self._own.add("probeplan_run_lost", 0, plan=plan, reason=reason)
        for action in _STEPS:
            self._own.add("probeplan_run_governor_steps", 0, plan=plan, action=action)
        for outcome in UNMADE_OUTCOMES:  # they are 0 until there is one
            self._own.add("probeplan_runs", 0, plan=plan, outcome=outcome)
        self._own.add("probeplan_run_lost_unknown", 0, plan=plan)

    # ------------------------------------------------------------ a run that is made

    def _start(self, record: Mapping[str, Any], run: LiveRun) -> None:
        started = _unix_seconds(record["ts"])
        info = {name: _text(record.get(name)) for name in _INFO}
        run.is_whole = True
        self._latest[run.plan] = run
        self._own.set("probeplan_run_active", 1, plan=run.plan)
        self._own.clear("probeplan_run_info", plan=run.plan)
        self._own.set("probeplan_run_info", 1, plan=run.plan, **info)
        self._own.set("probeplan_run_started_timestamp_seconds", started, plan=run.plan)
        self._own.clear("probeplan_probe_attached", plan=run.plan)

    def _attach(self, record: Mapping[str, Any], run: LiveRun) -> None:
        self._set_attached(record, run, 1)

    def _skip(self, record: Mapping[str, Any], run: LiveRun) -> None:
        self._set_attached(record, run, 0)

    def _set_attached(self, record: Mapping[str, Any], run: LiveRun, value: int) -> None:
        place = {"probe": _text(record["probe"]), "to": _text(record["to"])}
        self._own.set("probeplan_probe_attached", value, plan=run.plan, **place)

    def _lose(self, record: Mapping[str, Any], run: LiveRun) -> None:
        lost = record["lost"]
        if lost != "unknown":
            run.lost += _natural(lost)
            reason = _text(record["reason"])
            self._own.add("probeplan_run_lost", lost, plan=run.plan, reason=reason)

    def _govern(self, record: Mapping[str, Any], run: LiveRun) -> None:
        action = _text(record["action"])
        self._own.add("probeplan_run_governor_steps", plan=run.plan, action=action)
        if action == "detach":
            self._detach(record.get("probe"), run)

    def _limit(self, record: Mapping[str, Any], run: LiveRun) -> None:
        if record["action"] == "detach":
            self._detach(record.get("probe"), run)

    def _detach(self, probe: Any, run: LiveRun) -> None:
        names = {} if probe is None else {"probe": _text(probe)}
        self._own.change("probeplan_probe_attached", 0, plan=run.plan, **names)

    def _warn(self, record: Mapping[str, Any], run: LiveRun) -> None:
        names = {name: _text(record[name]) for name in ("probe", "metric")}
        self._own.add("probeplan_run_warnings", plan=run.plan, **names)

    # ------------------------------------------------------------ the end

    def _finish(self, record: Mapping[str, Any], run: LiveRun) -> None:
        duration, complete = _natural(record["duration_ns"]), _COMPLETE[record["complete"]]
        missed = list(_kernel_missed(record["ledger"]))
        self._end(record, run)
        self._own.set("probeplan_run_complete", complete, plan=run.plan)
        self._own.set("probeplan_run_duration_seconds", duration / _NS, plan=run.plan)
        self._account_for_losses(record["lost"], run)
        for held in record.get("held_back", ()):
            name, records = _text(held["limit"]), _natural(held["records"])
            self._own.add("probeplan_run_held_back", records, plan=run.plan, limit=name)
        for probe, to, count in missed:
            self._own.add("probeplan_probe_kernel_missed", count, plan=run.plan, probe=probe, to=to)

    def _leave_out(self, record: Mapping[str, Any], run: LiveRun) -> None:
        self._end(record, run)

    def _end(self, record: Mapping[str, Any], run: LiveRun) -> None:
        outcome, code = _text(record["outcome"]), record["exit_code"]
        ended = _unix_seconds(record["ts"])
        self._own.add("probeplan_runs", plan=run.plan, outcome=outcome)
        self._own.set("probeplan_run_exit_code", _natural(code), plan=run.plan)
        self._own.set("probeplan_run_finished_timestamp_seconds", ended, plan=run.plan)
        if self._latest.get(run.plan) in (run, None):
            self._own.set("probeplan_run_active", 0, plan=run.plan)

    def _account_for_losses(self, lost: Any, run: LiveRun) -> None:
        if lost == "unknown":
            self._own.add("probeplan_run_lost_unknown", plan=run.plan)
        elif run.is_whole and (rest := _natural(lost) - run.lost) > 0:
            self._own.add("probeplan_run_lost", rest, plan=run.plan, reason="unreported")


def _kernel_missed(ledger: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """By attach point, where it is known."""
    for probe, account in ledger["probes"].items():
        for hook in account["hooks"]:
            counts = [side["kernel_missed"] for side in hook["sides"].values()]
            known = [count for count in counts if count != "unknown"]
            if known:
                yield _text(probe), _text(hook["to"]), sum(map(_natural, known))


def _unix_seconds(stamp: Any) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _text(value: Any) -> str:
    """A label's value; empty for what is not there."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value[:256]


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"{value!r:.60} is no count")
    return value
