"""What these tests share: a separate workload, and runs of both backends."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.runs import Zygote
from tests.support.product import build_load
from tests.support.requirements import needs_a_kernel


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder that need this machine's kernel."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        if item.get_closest_marker("guest") is None:
            item.add_marker(needs_a_kernel)


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/support/workload/load.c, in a separate folder: no other process's calls are seen."""
    return build_load(tmp_path_factory.mktemp("load"))


@pytest.fixture
def zygote(tmp_path: Path, load: Path) -> Iterator[Callable[[str, str], Zygote]]:
    """Makes runs of a backend and probes. Each has a separate workload: the kernel counts hits of
    a probe in user code also in processes that have another run's breakpoint at the same place."""
    made: list[Zygote] = []

    def make(backend: str, probes: str) -> Zygote:
        folder = tmp_path / f"{backend}{len(made)}"
        folder.mkdir()
        own = load
        if made:
            own = folder / f"{load.name}x{len(made)}"
            shutil.copy2(load, own)
        made.append(Zygote.start(folder, backend, probes, own))
        return made[-1]

    yield make
    for one in made:
        one.close()
