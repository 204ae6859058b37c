"""What a host cannot bear is refused before anything is attached."""

from pathlib import Path

import pytest

from orchestrator.plan.findings import HostError
from orchestrator.plan.model import Limits
from orchestrator.run.safety.host_limits import available_memory, require_host
from tests.support.fake_backend import program

GIB = 1 << 30


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """23 GiB available; 8 GiB left in a cgroup above ours."""
    own, group = tmp_path / "proc/self", tmp_path / "cg/outer/inner"
    own.mkdir(parents=True)
    group.mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {23 << 20} kB\n")
    (own / "mounts").write_text("cgroup2 /cg cgroup2 rw 0 0\n")
    (own / "cgroup").write_text("1:name=systemd:/x\n0::/outer/inner\n")
    (own / "timens_offsets").write_text("monotonic           0         0\nboottime 0 0\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("5\n")
    (group.parent / "memory.max").write_text(f"{10 * GIB}\n")
    (group.parent / "memory.current").write_text(f"{2 * GIB}\n")
    return tmp_path


def test_the_memory_left_is_the_least_of_host_and_cgroups(host: Path) -> None:
    assert available_memory(host) == (8 * GIB, "memory.max of the cgroup /outer")
    (host / "proc/self/cgroup").unlink()
    assert available_memory(host) == (23 * GIB, "MemAvailable")
    (host / "proc/meminfo").unlink()
    assert available_memory(host) == (None, "")


def test_a_memory_limit_above_what_is_left_is_refused(host: Path) -> None:
    require_host(program(Limits(memory=8 * GIB)), host)
    with pytest.raises(HostError, match="is 68,719,476,736 bytes, and 8,589,934,592"):
        require_host(program(Limits(memory=64 * GIB)), host)


@pytest.mark.parametrize(("line", "said"), [("-100 0", "-100 s"), ("31536000 0", "31,536,000 s"),
                                            ("0 5", "1 s")])  # fmt: skip
def test_another_clock_than_the_kernels_is_refused(host: Path, line: str, said: str) -> None:
    """Records would carry wrong times, and the deadline would be another."""
    (host / "proc/self/timens_offsets").write_text(f"monotonic {line}\nboottime 0 0\n")
    with pytest.raises(HostError, match="time namespace") as refused:
        require_host(program(), host)
    assert said in str(refused.value)


def test_this_host_is_not_refused() -> None:
    require_host(program())
