"""pytest's side of the helper: it is started when the first plan is needed, and asked."""

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from orchestrator.pytest_plugin.gate import Gate
from orchestrator.pytest_plugin.source_places import SourcePlace
from orchestrator.pytest_plugin.wire import (
    Closed,
    Message,
    receive_with_descriptor,
    send_message,
)
from orchestrator.values import dataclass

__all__ = ["Asked", "HelperClient", "Refused", "UsedPlan"]

_ROOT = Path(__file__).parents[2]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from orchestrator.pytest_plugin.helper.start import main; main(3, int(sys.argv[2]))"
)
_CHANNEL = 3


class Refused(Exception):
    """What the helper does not do. `by`: host (probes cannot be attached here), plan (what was
    asked is wrong) or internal."""

    def __init__(self, by: str, text: str) -> None:
        self.by = by
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A text of the check language in a test, and where it is."""

    text: str
    place: SourcePlace

    def to_message(self) -> Message:
        """As the helper takes it."""
        return {"text": self.text, "at": self.place.to_message()}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPlan:
    """An attached plan. `metrics`: the kinds of its metrics by owner and name."""

    number: int
    name: str
    metrics: Mapping[str, Mapping[str, str]]
    derived: Sequence[str]
    gate: Gate = field(compare=False)


class HelperClient:
    """Asks the helper. While it does, no open gate is open: what it does itself is not counted."""

    def __init__(self) -> None:
        self._channel: socket.socket | None = None
        self._owner = 0
        self._open: list[Gate] = []
        self._plans: dict[tuple[str, ...], UsedPlan | Refused] = {}
        self._admission: Refused | None = None
        self._is_admitted = False

    # -- plans ---------------------------------------------------------------------------------

    def admit(self) -> None:
        """Raises Refused where this process may not attach probes; asked once."""
        if not self._is_admitted:
            self._is_admitted = True
            try:
                self._ask({"do": "admit"})
            except Refused as refused:
                self._admission = refused
        if self._admission is not None:
            raise self._admission

    def use_plan(
        self, source: str | Mapping[str, Any], settings: Mapping[str, str], place: SourcePlace
    ) -> UsedPlan:
        """The attached plan that a test names; it is attached once. Raises Refused."""
        self.admit()
        here = str(Path(place.file).parent)
        relative_to = here if _is_path(source) else ""
        key = (relative_to, repr(source), repr(sorted(settings.items())))
        if key not in self._plans:
            with self.nothing_open():
                self._plans[key] = self._attach(source, settings, here, place)
        found = self._plans[key]
        if isinstance(found, Refused):
            raise found
        return found

    def _attach(
        self,
        source: str | Mapping[str, Any],
        settings: Mapping[str, str],
        here: str,
        place: SourcePlace,
    ) -> UsedPlan | Refused:
        request = {"do": "attach", "source": source, "settings": dict(settings), "here": here}
        try:
            answer, descriptor = self._exchange({**request, "at": place.to_message()})
        except Refused as refused:
            # What is wrong with a place is said at each: only the host's refusal is kept.
            if refused.by == "host":
                return refused
            raise
        assert descriptor is not None
        return UsedPlan(
            number=answer["plan"],
            name=answer["name"],
            metrics=answer["metrics"],
            derived=answer["derived"],
            gate=Gate(descriptor, answer["size"]),
        )

    def expect(self, plan: UsedPlan, expectations: Sequence[Asked]) -> None:
        """Raises Refused where an expectation is not a good one."""
        texts = [one.to_message() for one in expectations]
        self._ask({"do": "expect", "plan": plan.number, "expectations": texts})

    # -- blocks --------------------------------------------------------------------------------

    def begin(self, plans: Sequence[UsedPlan]) -> int:
        """Count from now on, for each plan; returns when (CLOCK_MONOTONIC, ns). The last that it
        does is to open their gates."""
        with self.nothing_open() as open_gates:
            for plan in plans:
                words = self._ask({"do": "begin", "plan": plan.number})["words"]
                plan.gate.prepare(tuple(words))
            open_gates += [plan.gate for plan in plans]
            return time.monotonic_ns()

    def end(self, plans: Sequence[UsedPlan], began_ns: int) -> list[int]:
        """Count no more; returns the numbers of the blocks. The first that it does is to shut
        their gates."""
        with self.nothing_open() as open_gates:
            wall_ns = time.monotonic_ns() - began_ns
            for plan in plans:
                open_gates.remove(plan.gate)
            return [
                self._ask({"do": "end", "plan": plan.number, "wall_ns": wall_ns})["block"]
                for plan in plans
            ]

    def is_open(self, plan: UsedPlan) -> bool:
        """Whether a block of this plan has begun and not ended."""
        return plan.gate in self._open

    def judge(
        self, block: int, expectations: Sequence[Asked], witness: int | None
    ) -> list[Mapping[str, Any]]:
        """The verdicts on a block, as texts."""
        texts = [one.to_message() for one in expectations]
        request = {"do": "judge", "block": block, "expectations": texts, "witness": witness}
        verdicts: list[Mapping[str, Any]] = self._ask(request)["verdicts"]
        return verdicts

    def read(self, block: int, asked: Asked, witness: int | None) -> Mapping[str, Any]:
        """The value of an expression in a block, as a verdict on it."""
        request = {"do": "read", "block": block, "witness": witness}
        return self._ask({**request, **asked.to_message()})

    def cells(self, block: int, owner: str, metric: str) -> list[dict[str, Any]]:
        """The cells of a metric in a block."""
        request = {"do": "cells", "block": block, "owner": owner, "metric": metric}
        cells: list[dict[str, Any]] = self._ask(request)["cells"]
        return cells

    def forget(self, blocks: Sequence[int]) -> None:
        """These blocks are not asked for any more."""
        if blocks and self._channel is not None:
            self._ask({"do": "forget", "blocks": list(blocks)})

    def close(self) -> list[str]:
        """Detach everything; returns what could not be removed. Idempotent."""
        if self._channel is None or self._owner != os.getpid():
            return []
        try:
            troubles: list[str] = self._ask({"do": "close"})["troubles"]
        except Refused as refused:
            troubles = [str(refused)]
        self._break()
        return troubles

    # -- asking --------------------------------------------------------------------------------

    def _ask(self, message: Message) -> Message:
        return self._exchange(message)[0]

    def _exchange(self, message: Message) -> tuple[Message, int | None]:
        """Raises Refused."""
        with self.nothing_open():
            channel = self._connect()
            try:
                send_message(channel, message)
                answer, descriptor = receive_with_descriptor(channel)
            except (Closed, OSError) as error:
                self._break()
                text = f"the process that measures has ended ({type(error).__name__})"
                raise Refused("internal", text) from None
            except BaseException:  # interrupted between a request and its answer
                self._break()
                raise
        if "refused" in answer:
            raise Refused(answer["refused"], answer["text"])
        return answer, descriptor

    @contextmanager
    def nothing_open(self) -> Iterator[list[Gate]]:
        """Shut all gates first, and open them again last: nothing in between is counted. Yields the
        list of those to be opened."""
        gates, self._open = self._open, []
        for gate in gates:
            gate.shut()
        try:
            yield gates
        finally:
            self._open = gates
            for gate in gates:
                gate.open()

    def _connect(self) -> socket.socket:
        if self._channel is None:
            if self._owner:
                raise Refused("internal", "the process that measures has ended")
            self._owner = os.getpid()
            self._channel = _start_helper(self._owner)
        if self._owner != os.getpid():
            raise Refused("plan", "a block is of the process that began it, not of its child")
        return self._channel

    def _break(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = None


def _is_path(source: str | Mapping[str, Any]) -> bool:
    """Whether it depends on the folder which plan is meant, as in a check."""
    return isinstance(source, str) and ("/" in source or source.endswith((".yaml", ".yml")))


def _start_helper(owner: int) -> socket.socket:
    """Start the helper, and wait until it has left this process."""
    ours, theirs = socket.socketpair()
    null = os.devnull
    with theirs:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", _PROGRAM, str(_ROOT), str(owner)],
            dict(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CHANNEL),
            ],
        )
    os.waitpid(pid, 0)
    return ours
