"""What other collections ask, as plans: the kernel takes their programs."""

from typing import Any

import pytest

from tests.guest.bcc.plans import COMMON_PEERS, PEER_PARTS
from tests.support.guest_cases import CaseResult

CASES = "tests.guest.bcc.plans"


def part(number: int) -> Any:
    """One part of the plans."""
    case, prepare = f"{CASES}:load_peers", f"{CASES}:prepare_peers"
    return pytest.param(
        number, marks=pytest.mark.guest(case, prepare=prepare, modules=("ext4",), number=number)
    )


@pytest.mark.usual_kernel
@pytest.mark.parametrize("number", [part(number) for number in range(PEER_PARTS)])
def test_plans_of_what_peers_ask_are_accepted_by_the_kernel(number: int, guest: CaseResult) -> None:
    """By its verifier, each with all its programs."""
    found = guest.result()
    assert found["refused"] == {}
    assert found["plans"] == len(COMMON_PEERS[number::PEER_PARTS]) > 10
