"""Functions and events of modules are probed with the types of their modules."""

from collections import Counter

import pytest

from tests.guest.kernel.module_types import OPENS
from tests.support.guest_cases import CaseResult

pytestmark = pytest.mark.kernels("6.1", "6.12", "7.x")  # 5.10 gives no types of modules
CASE = "tests.guest.kernel.module_types:probe_module"


@pytest.mark.guest(CASE, modules=["ext4"], backend="bcc")
def test_arguments_and_casts_take_the_types_of_the_module(guest: CaseResult) -> None:
    """Each open of a file on 9p, at a pair and a trampoline: its path by the kernel's
    structures, its kind by a structure of the module, and its way, which begins with the probed
    function. A raw tracepoint of another module attaches with its arguments."""
    ran = guest.result()
    assert ran["complete"] is True
    assert ran["mechanisms"] == {
        "call": "fentry",
        "trampoline": "fentry",
        "raw": "raw tracepoint",
    }
    assert Counter(probe for probe, _ in ran["data"]) == dict.fromkeys(
        ("call", "trampoline"), OPENS
    )
    for probe, data in ran["data"]:
        assert data["file"].endswith("/etc/hostname")  # below the root of the guest's job
        assert data["kind"] == 0
        assert data["way"][0] == "v9fs_file_open+0x0 [9p]"
        assert data["way"][1].startswith("do_dentry_open+")
        assert data.get("failed", 0) == 0, probe
    assert ran["left"] == []


@pytest.mark.guest(CASE, backend="tracefs")
def test_tracefs_reads_arguments_of_a_module_by_its_types(guest: CaseResult) -> None:
    ran = guest.result()
    assert ran["left"] == []
    modes = Counter(data["mode"] for _, data in ran["data"])
    assert ran["complete"] is True
    assert sum(n for mode, n in modes.items() if mode >> 12 == 8) >= OPENS
