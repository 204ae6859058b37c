"""What pytest's side asks the helper for, and when gates are open."""

import mmap
import os
from typing import Any

import pytest

from orchestrator.pytest_plugin.helper_client import HelperClient, Refused, UsedPlan
from orchestrator.pytest_plugin.source_places import SourcePlace


class Recorded(HelperClient):
    """Keeps what was asked, and how many gates were open then; its plans have one word."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.memories: list[int] = []
        self.open_then: list[int] = []

    def _exchange(self, message: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        with self.nothing_open():
            self.asked.append(message["do"])
            self.open_then.append(self.count_open())
            if message["do"] != "attach":
                return {"words": [1], "block": len(self.asked)}, None
            if message["source"] == "impossible":
                raise Refused("host", "not here")
            memory = os.memfd_create("gate")
            os.ftruncate(memory, mmap.PAGESIZE)
            self.memories.append(memory)
            fields = {"name": "p", "size": mmap.PAGESIZE, "metrics": {}, "derived": []}
            return {"plan": len(self.memories) - 1, **fields}, os.dup(memory)

    def count_open(self) -> int:
        """How many gates are open."""
        return sum(os.pread(memory, 1, 0) == b"\1" for memory in self.memories)

    def use(self, source: Any, folder: str = "/a", **settings: str) -> UsedPlan:
        return self.use_plan(source, settings, SourcePlace(file=f"{folder}/test_it.py", line=1))


def test_a_plan_is_attached_once_wherever_it_is_named() -> None:
    client = Recorded()
    body: dict[str, Any] = {"probes": {}}
    assert client.use("fsync") is client.use("fsync", "/b")
    assert client.use(body) is client.use({"probes": {}}, "/b")
    assert client.use("./plan.yaml") is client.use("./plan.yaml")
    assert client.use("./plan.yaml") is not client.use("./plan.yaml", "/b")
    assert client.use("plan.yaml") is not client.use("plan.yaml", "/b")
    assert client.use("fsync", failed="true") is not client.use("fsync")
    assert client.asked.count("attach") == 7
    assert client.asked.count("admit") == 1


def test_what_the_host_refuses_is_asked_once() -> None:
    client = Recorded()
    for _ in range(2):
        with pytest.raises(Refused, match="not here"):
            client.use("impossible")
    assert client.asked.count("attach") == 1


def test_no_gate_is_open_while_the_helper_is_asked() -> None:
    """Also where another block begins, reads and ends within one."""
    client = Recorded()
    outer, inner = client.use("fsync"), client.use("opens")
    began_ns = client.begin([outer])
    assert client.count_open() == 1
    with client.nothing_open():
        assert client.count_open() == 0
    inner_began_ns = client.begin([inner])
    assert client.count_open() == 2
    assert client.is_open(inner)
    client.end([inner], inner_began_ns)
    assert (client.count_open(), client.is_open(inner)) == (1, False)
    client.use("execs")
    assert client.count_open() == 1
    client.end([outer], began_ns)
    assert client.count_open() == 0
    assert set(client.open_then) == {0}
