"""The table of attach kinds: rows agree with one another."""

import pytest

from orchestrator.plan.attach_kinds import KINDS, PAIRED_KINDS, RETURNING_KINDS


def test_paired_kinds_see_the_return() -> None:
    """`elapsed` ends at the return, so `retval` is known there too."""
    assert {"function", "syscall", "ufunction"} == PAIRED_KINDS
    assert PAIRED_KINDS < RETURNING_KINDS


def test_probes_at_a_return_have_no_arguments_but_by_trampoline() -> None:
    """The registers of the entry are gone; fexit keeps the arguments (bpf_trampoline)."""
    at_return = {kind for kind, traits in KINDS.items() if traits.moment == "return"}
    assert {kind for kind in at_return if KINDS[kind].has_arguments} == {"fexit"}


@pytest.mark.parametrize(
    ("kind", "space"), [("kprobe", "kernel"), ("syscall", "kernel"), ("usdt", "user")]
)
def test_space_follows_the_site(kind: str, space: str) -> None:
    """Code that is interrupted; a timer may interrupt either."""
    assert KINDS[kind].space == space  # type: ignore[index]
    assert KINDS["profile"].space == "any"


def test_pointers_of_system_calls_are_of_user_memory() -> None:
    """Although the probe fires in the kernel: strings there need redaction."""
    assert {kind for kind, traits in KINDS.items() if traits.takes_user_pointers} == {
        "syscall", "ufunction", "uprobe", "uretprobe", "usdt",
    }  # fmt: skip
