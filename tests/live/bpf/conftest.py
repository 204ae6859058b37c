"""A workload with known counts, and loaded programs that count it."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.backends.bcc.attach import load
from orchestrator.backends.bcc.compiler import clang
from orchestrator.backends.bcc.handles.maps import create_map
from orchestrator.kernel.abi import dynamic_events
from tests.support.binaries import compile_to
from tests.support.bpf_programs import (
    COUNT,
    COUNTS,
    COUNTS_SPEC,
    KEY,
    NOBODY,
    Counts,
    counts_of,
    only,
)
from tests.support.paths import WORKLOADS

WORKLOAD = WORKLOADS / "load.c"


class Workload:
    """The built generator. Started paused, so that its pid is known before its first call."""

    def __init__(self, binary: Path) -> None:
        self.binary = binary

    def run(self, *mode: str, before: Callable[[int], None] = lambda pid: None) -> None:
        """Run `mode` to its end, `before(pid)` having been called before it starts."""
        with subprocess.Popen(
            [self.binary, "-w", *mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            before(int(child.stdout.readline().split()[1]))
            child.stdin.write("go\n")
            child.stdin.close()
            said = child.stdout.read().split()
        assert child.returncode == 0
        assert said[:2] == list(mode[:2])

    def offset_of(self, symbol: str) -> int:
        """A symbol's offset in the file, by the loadable segments."""
        from elftools.elf.elffile import ELFFile

        with self.binary.open("rb") as file:
            elf = ELFFile(file)
            found = elf.get_section_by_name(".symtab").get_symbol_by_name(symbol)[0]
            address = found["st_value"]
            return next(iter(elf.address_offsets(address)))


@pytest.fixture(scope="session")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    binary = tmp_path_factory.mktemp("workload") / "load"
    return Workload(compile_to(binary, WORKLOAD, flags=("-pthread",)))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled programs are shared by these tests, and not with the host."""
    base = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setattr(
        "orchestrator.backends.cache_directory.SYSTEM_DIRECTORY", base / "probeplan"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(base))


class Counter:
    """The counting program, loaded as `kind`."""

    def __init__(self, kind: int) -> None:
        code = clang.compile_c(COUNT, ["count"])["count"]
        self.map = create_map(COUNTS_SPEC)
        self.map.update(KEY, only(NOBODY))
        self.program = load.load_program(code, kind, name="count", maps={COUNTS: self.map.fd})

    def watch(self, pid: int) -> None:
        self.map.update(KEY, only(pid))

    @property
    def counts(self) -> Counts:
        return counts_of(self.map.lookup(KEY))

    def close(self) -> None:
        os.close(self.program)
        self.map.close()


@pytest.fixture
def counter() -> Iterator[Callable[[int], Counter]]:
    made: list[Counter] = []

    def make(kind: int) -> Counter:
        made.append(Counter(kind))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def group() -> Iterator[str]:
    """A group of dynamic events, of which the test leaves none."""
    name = f"pp_test_{os.getpid()}"
    yield name
    left = re.findall(rf"\S*:{name}/\S+", (dynamic_events.TRACEFS / "dynamic_events").read_text())
    dynamic_events.remove_events([line.partition(":")[2] for line in left])
    assert not left
