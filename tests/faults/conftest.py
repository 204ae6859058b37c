"""What these tests share: a workload of their own, and runs of both backends."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.runs import Zygote
from tests.support.product import build_load

NEEDED = ("tracefs_instances", "uprobe_events", "syscall_tracepoints", "bpf", "ringbuf", "bcc")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder that need this machine's kernel."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        if item.get_closest_marker("guest") is None:
            item.add_marker(pytest.mark.usefixtures("probeable"))


@pytest.fixture(scope="session")
def probeable() -> None:
    from orchestrator.kernel.facts import live_facts

    if os.geteuid() != 0:
        pytest.skip("attaching probes needs root")
    facts = live_facts()
    if missing := [name for name in NEEDED if not facts.feature(name)]:
        pytest.skip(f"this kernel lacks {', '.join(missing)}")


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/support/workload/load.c, in a folder of its own: nobody else's calls are seen."""
    return build_load(tmp_path_factory.mktemp("load"))


@pytest.fixture
def zygote(tmp_path: Path, load: Path) -> Iterator[Callable[[str, str], Zygote]]:
    """Makes runs of a backend and probes."""
    made: list[Zygote] = []

    def make(backend: str, probes: str) -> Zygote:
        folder = tmp_path / f"{backend}{len(made)}"
        folder.mkdir()
        made.append(Zygote.start(folder, backend, probes, load))
        return made[-1]

    yield make
    for one in made:
        one.close()
