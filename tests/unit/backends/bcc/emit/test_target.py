"""The test of the plan's target, in C."""

import pytest

from orchestrator.backends.bcc.emit.target import comm_test, describe_target
from tests.support.bcc_maps import recorded_program


@pytest.mark.parametrize(
    ("glob", "name", "holds"),
    [
        ("load", "load", True), ("load", "load2", False), ("load", "loa", False),
        ("lo*", "load", True), ("lo*", "l", False), ("*ad", "load", True), ("*ad", "loads", False),
        ("*", "any", True), ("exactly15bytes!", "exactly15bytes!", True),
        ("12345678*", "1234567890", True), ("*90", "1234567890", True), ("*9", "1234567890", False),
    ],
)  # fmt: skip
def test_a_names_test_computes_what_it_says(glob: str, name: str, holds: bool) -> None:
    """The C condition, evaluated here on the 16 bytes that the kernel would give."""
    raw = name.encode().ljust(16, b"\0")
    words = [int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")]
    condition = comm_test(glob).replace("ULL", "").replace("&&", "and").replace("||", "or")
    assert bool(eval(condition, {"name": words})) == holds  # noqa: S307  # our own condition


def test_a_target_is_described_by_all_its_parts() -> None:
    plan = "target: {pid: [7, 8], uid: [0], comm: [sshd]}\n"
    program = recorded_program(plan + "probes: {p: {attach: 'syscall:read', emit: {}}}\n")
    text = describe_target(program.target)
    assert text == "pid in (7, 8), uid in (0), comm in (sshd), not probeplan itself"
