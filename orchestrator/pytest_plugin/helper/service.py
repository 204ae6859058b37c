"""Answers the requests of pytest's process until that is gone."""

import select
import socket
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.check.measurement import MeasuredCell, Repeat
from orchestrator.plan.figures import metrics_by_owner
from orchestrator.plan.findings import HostError, PlanError, Position, is_about_host
from orchestrator.pytest_plugin.helper.attached import (
    AttachedPlan,
    PlanHost,
    PlanRequest,
    read_plan,
)
from orchestrator.pytest_plugin.helper.judging import BlockJudge, ExpectationText
from orchestrator.pytest_plugin.wire import Closed, Message, receive_message, send_message
from orchestrator.values import dataclass

__all__ = ["serve"]


@dataclass(frozen=True, slots=True)
class _Block:
    """A block that is over."""

    plan: int
    repeat: Repeat


class _HelperService:
    """What is known of a test session whose process is `owner`."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._host: PlanHost | None = None
        self._plans: list[tuple[AttachedPlan, BlockJudge]] = []
        self._blocks: dict[int, _Block] = {}
        self._ended = 0
        self._answers: Mapping[str, Callable[[Message], Message]] = {
            "admit": self._admit,
            "attach": self._attach,
            "expect": self._expect,
            "begin": self._begin,
            "end": self._end,
            "judge": self._judge,
            "read": self._read,
            "cells": self._cells,
            "forget": self._forget,
            "close": self._close,
        }

    def answer(self, message: Message) -> Message:
        """The answer to a request; a refusal has `refused`, and says who has to act."""
        try:
            return self._answers[message["do"]](message)
        except HostError as error:
            return {"refused": "host", "text": str(error)}
        except PlanError as error:
            return {"refused": "host" if is_about_host(error) else "plan", "text": str(error)}
        except Exception:
            return {"refused": "internal", "text": traceback.format_exc()}

    def descriptor_for(self, message: Message, answer: Message) -> int | None:
        """The file that goes with an answer."""
        if message["do"] != "attach" or "refused" in answer:
            return None
        return self._plans[answer["plan"]][0].switch.descriptor

    def close(self) -> list[str]:
        """Detach everything; what could not be removed."""
        host, self._host, self._plans = self._host, None, []
        return host.detach_all() if host is not None else []

    # -- requests ------------------------------------------------------------------------------

    def _admit(self, _message: Message) -> Message:
        self._require_host()
        return {}

    def _require_host(self) -> PlanHost:
        if self._host is None:
            self._host = PlanHost(self._owner)
        return self._host

    def _attach(self, message: Message) -> Message:
        request = PlanRequest(
            source=message["source"],
            settings=message["settings"],
            here=Path(message["here"]),
            position=Position(**message["at"]),
        )
        plan = read_plan(request)
        host = self._require_host()
        attached = host.attach(request, plan)
        self._plans.append((attached, BlockJudge(attached.plan, host.arch)))
        metrics = {
            owner: {metric.name: metric.kind for metric in own}
            for owner, own in metrics_by_owner(plan).items()
        }
        return {
            "plan": len(self._plans) - 1,
            "name": plan.metadata.name,
            "size": attached.switch.size,
            "metrics": metrics,
            "derived": [figure.name for figure in plan.derive],
        }

    def _expect(self, message: Message) -> Message:
        """Are these expectations good ones?"""
        self._plans[message["plan"]][1].read_expectations(_texts_of(message))
        return {}

    def _begin(self, message: Message) -> Message:
        return {"words": list(self._plans[message["plan"]][0].begin().words)}

    def _end(self, message: Message) -> Message:
        repeat = self._plans[message["plan"]][0].end(message["wall_ns"])
        self._ended += 1
        self._blocks[self._ended] = _Block(message["plan"], repeat)
        return {"block": self._ended}

    def _judge(self, message: Message) -> Message:
        block = self._blocks[message["block"]]
        attached, judge = self._plans[block.plan]
        expectations = judge.read_expectations(_texts_of(message))
        measured = attached.measured(block.repeat, self._witness_of(message))
        verdicts = judge.judge(expectations, measured)
        return {"verdicts": [judge.describe(one, block.repeat) for one in verdicts]}

    def _read(self, message: Message) -> Message:
        block = self._blocks[message["block"]]
        attached, judge = self._plans[block.plan]
        expectation = judge.read_value(_text_of(message))
        measured = attached.measured(block.repeat, self._witness_of(message))
        [verdict] = judge.judge([expectation], measured)
        return judge.describe(verdict, block.repeat)

    def _witness_of(self, message: Message) -> Repeat | None:
        number = message.get("witness")
        return None if number is None else self._blocks[number].repeat

    def _cells(self, message: Message) -> Message:
        repeat = self._blocks[message["block"]].repeat
        cells = repeat.cells[message["owner"]][message["metric"]]
        return {"cells": [_cell_fields(cell) for cell in cells]}

    def _forget(self, message: Message) -> Message:
        for number in message["blocks"]:
            self._blocks.pop(number, None)
        return {}

    def _close(self, _message: Message) -> Message:
        return {"troubles": self.close()}


def _texts_of(message: Message) -> list[ExpectationText]:
    return [_text_of(one) for one in message["expectations"]]


def _text_of(one: Mapping[str, Any]) -> ExpectationText:
    return ExpectationText(text=one["text"], position=Position(**one["at"]))


def _cell_fields(cell: MeasuredCell) -> Message:
    """A cell for a test; numbers that stand for something by their names."""
    key = None if cell.key is None else {**cell.key, **cell.names}
    numbers = {"count": cell.count, "sum": cell.sum, "min": cell.min, "max": cell.max}
    return {"key": key, "value": cell.value, **numbers}


def serve(descriptor: int, owner: int, pidfd: int) -> None:
    """Answer what comes by a socket until the process `owner` ends or closes it, and detach."""
    service = _HelperService(owner)
    with socket.socket(fileno=descriptor) as channel:
        try:
            while _is_asked(channel, pidfd):
                message = receive_message(channel)
                answer = service.answer(message)
                send_message(channel, answer, service.descriptor_for(message, answer))
        except (Closed, OSError):
            pass
        finally:
            service.close()


def _is_asked(channel: socket.socket, pidfd: int) -> bool:
    """Wait for a request; False where there will be none."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    return any(descriptor == channel.fileno() for descriptor, _ in poll.poll())
