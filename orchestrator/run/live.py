"""A run with its probes armed: loop, settle. Importing this imports numpy: do it late."""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from orchestrator.backends.descriptors import descriptor_of
from orchestrator.backends.protocol import Artifact, Session
from orchestrator.output.run_output import RunOutput
from orchestrator.plan.model import Plan
from orchestrator.run.arming import Armed
from orchestrator.run.cost.governor import Governor
from orchestrator.run.delivery import deliver_rest
from orchestrator.run.loop import Loop, Supervision
from orchestrator.run.metrics.reading import Reading, read_together
from orchestrator.run.metrics.reporter import Measured, MetricReporter
from orchestrator.run.metrics.windows import choose_window_ns
from orchestrator.run.options import Bar
from orchestrator.run.remote.control import Control
from orchestrator.run.remote.pausing import Pauses
from orchestrator.run.remote.service import Service
from orchestrator.run.report.account import Account, make_account, settle_account
from orchestrator.run.report.notices import Notices
from orchestrator.run.report.outcome import Outcome
from orchestrator.run.stacks import Stacks
from orchestrator.run.stream import Stream
from orchestrator.run.watched_names import WatchedNames, WatchedPrograms

__all__ = ["Live"]

_CUT = "limits.duration ended while an iterator was read: its last objects were not seen"


class Live:
    """Armed probes, and where their data goes. `started`: when they were armed (RFC 3339);
    `capped`: the kernel disabled them when limits.events was reached, as it is once settled;
    `keep_whole`: the totals are kept with all cells, too."""

    def __init__(  # noqa: PLR0913  # the parts of a run meet here
        self,
        *,
        plan: Plan,
        session: Session,
        artifact: Artifact[Any],
        output: RunOutput,
        supervision: Supervision,
        constants: Mapping[str, str],
        armed: Armed,
        bar: Bar | None,
        socket: Path,
        keep_whole: bool = False,
    ) -> None:
        self._session, self._artifact, self._program = session, artifact, artifact.program
        self._output, self._supervision, self._bar = output, supervision, bar
        self._stacks = Stacks(
            session.new_stacks, output, expected=session.counts().stacks is not None
        )
        self._stream = Stream(
            session, artifact.program, output, constants, self._stacks, armed.clock
        )
        self._notices = Notices(artifact, session.attached, output)
        self._metrics = MetricReporter(
            plan,
            self._program,
            output,
            armed.clock,
            self._read_metrics,
            self._stacks.names,
            session.open_spans,
            keep_whole=keep_whole,
        )
        self._window_ns = choose_window_ns(plan, self._program.every_ns)
        self._armed_ns = self._disarmed_ns = armed.at_ns
        self._unread: dict[str, None] = {}  # iterators, each problem once
        self.capped = False
        self.started = armed.started
        self._metrics.begin(armed.at_ns)
        if bar is not None:
            bar.follow(self._metrics.snapshot, self._program)
        self._pauses = Pauses(session, self._program, output)
        self._governor = Governor(
            session,
            self._program,
            output,
            lambda action: self._notices.report_limit("cpu", action),
            armed.at_ns,
        )
        service = Service(
            session, self._program, self._stream, self._notices, self._pauses, self._governor
        )
        self._control = Control(socket, service.serve)
        self._names = WatchedNames(self._program, session.detach_probe, session.count_lost_cgroups)
        command = supervision.command
        self._programs = (
            WatchedPrograms(self._program)
            if command is None
            else WatchedPrograms(self._program, command.argv, command.pid)
        )

    def _read_metrics(self, combined: Collection[int]) -> Reading:
        """All metrics, the `combined` ones at one moment if possible; their stacks are named."""
        reading = read_together(self._session.metrics_together, combined)
        self._stacks.write_new()
        return reading

    @property
    def armed_for_ns(self) -> int:
        """How long the probes recorded. The kernel keeps the deadline to the tick; the loop gets to
        it a little later."""
        armed, limit = self._disarmed_ns - self._armed_ns, self._program.limits.duration_ns
        in_kernel = self._artifact.enforced.get("duration") == "kernel"
        return armed if limit is None or not in_kernel else min(armed, limit)

    @property
    def paused_ns(self) -> dict[str, int]:
        """By probe that was paused: for how many ns."""
        return self._pauses.totals(self._disarmed_ns)

    @property
    def dropped(self) -> dict[str, int]:
        """Probes that limits.cpu detached, each with how long after arming (ns)."""
        return self._governor.dropped

    @property
    def resampled(self) -> tuple[str, ...]:
        """Probes whose sampling limits.cpu lowered: from then on one of fewer events was kept."""
        return self._governor.resampled

    @property
    def clock_steps(self) -> int:
        """How often the system's clock was set."""
        return self._stream.clock_steps

    @property
    def trouble(self) -> str | None:
        """Why the run has no control channel; None if it has one."""
        return self._control.trouble

    @property
    def blind_because(self) -> tuple[str, ...]:
        """Names that no longer stood for what is probed, programs whose calls no probe sees,
        and what was not seen because of it."""
        return (*self._names.changes, *self._programs.changes, *self._unread)

    @property
    def unknown_cgroups(self) -> int | None:
        """Of how many cgroups that were shown the name is not known; None where none are shown."""
        return self._names.unknown_cgroups

    @property
    def totals(self) -> Measured:
        """The metrics of the whole run, once it is settled."""
        return self._metrics.totals

    @property
    def limits(self) -> list[dict[str, object]]:
        """The limit.reached records so far."""
        return self._notices.limits

    def run(self) -> Outcome:
        """Release the command, and loop until something ends the run."""
        try:
            self._output.follow(self._program, self._stacks.names)
            self._output.flush()
            self._take_snapshots()
            if self._supervision.command is not None:
                self._supervision.command.release()
            outcome = self._loop().run()
        finally:
            self._governor.stop_measuring()
            self._control.close()
        self._report_limit(outcome)
        return outcome

    def settle(self) -> Account:
        """Disarm, read the rest, and write the metrics; the probes are still attached."""
        self._names.look()
        self._programs.look()
        self._session.disarm()
        self._disarmed_ns = time.monotonic_ns()
        self._supervision.guard.set_deadline(0)
        account = settle_account(self._session, self._stream, self._program, self._session.attached)
        stops = self._program.limits.at_cap == "stop"
        disables = descriptor_of(self._artifact.backend).disables_at_cap
        self.capped = stops and disables and self._session.capped()
        self._metrics.finish(self._armed_ns + self.armed_for_ns)
        return self._report_account(account)

    def deliver(self, account: Account, notify: Callable[[str], None]) -> Account:
        """Write what the reader of the output has not taken yet, once all is detached; returns the
        account with what became of it."""
        self._stacks.close()
        deliver_rest(self._output, self._supervision.signals, notify, self._stream)
        attached, deliveries = self._session.attached, self._stream.deliveries()
        return self._report_account(
            make_account(self._program, attached, account.counts, deliveries)
        )

    def _report_account(self, account: Account) -> Account:
        if "stacks" in account.ledger:
            incomplete = {"incomplete": self._stacks.unnamed}
            account.ledger["stacks"] = {**account.ledger["stacks"], **incomplete}
        self._notices.look(account.counts, {} if self._stream.full else account.undelivered)
        return account

    @property
    def output_limited(self) -> bool:
        """Whether limits.output was reached."""
        return self._stream.full

    def _loop(self) -> Loop:
        return Loop(
            session=self._session,
            stream=self._stream,
            output=self._output,
            program=self._program,
            supervision=self._supervision,
            armed_ns=self._armed_ns,
            look=self._notices.look,
            window_ns=self._window_ns,
            on_window=self._end_window,
            serve=self._serve,
            governor=self._governor,
            bar=self._bar,
        )

    def _end_window(self) -> bool:
        """The metrics of a window; the next one begins. Returns whether to stop."""
        stops = self._metrics.end_window()
        if not stops:
            self._take_snapshots()
        return stops

    def _take_snapshots(self) -> None:
        """What an iterator shows is what there is at the beginning of a window."""
        if not any(hook.traits.site == "iterator" for hook in self._program.hooks):
            return
        self._unread.update(dict.fromkeys(self._session.take_snapshots()))
        limit = self._program.limits.duration_ns
        if limit is not None and time.monotonic_ns() >= self._armed_ns + limit:
            self._unread[_CUT] = None

    def _serve(self) -> None:
        self._control.answer_requests()
        self._names.look()
        self._programs.look()

    def _report_limit(self, outcome: Outcome) -> None:
        """Write the limit that ended the run. The duration counts as one only if it ended before
        the command: otherwise it is the normal end of a run."""
        if outcome == "cap":
            self._notices.report_limit("events", "stop")
        elif outcome == "limit":
            self._notices.report_limit("output", "stop")
        elif outcome == "duration" and self._supervision.command is not None:
            self._notices.report_limit("duration", "stop")
