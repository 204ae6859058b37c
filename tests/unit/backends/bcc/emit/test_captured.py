"""What is captured, for every recorded kernel: typed by its structures, compiled, laid out so that
old verifiers take the loops."""

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import compile_artifact
from tests.guest.bcc.captured import CAPTURED
from tests.support.bcc_runs import program_of
from tests.support.cfg import back_edges
from tests.support.recorded import KERNELS, recorded

NAMES = sorted(path.name.removesuffix(".facts.xz") for path in KERNELS.glob("*.facts.xz"))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", NAMES)
def test_every_loop_over_memory_is_laid_out_as_old_verifiers_ask(kernel: str) -> None:
    """No way back but along a jump, in any program of a plan with all of them."""
    facts = recorded(kernel)
    code = compile_artifact(backend("bcc").emit(program_of(CAPTURED, facts), facts))
    assert len(code) >= 6
    assert {name: found for name, made in code.items() if (found := back_edges(made))} == {}


def test_the_check_sees_a_way_back_by_falling_through() -> None:
    """0: if … goto 2; 1: exit; 2: …; 3: goto 5; 4: … and on into 5; 5: if … goto 4; 6: exit. From 5
    the way leads back to 4 by a jump, and from there by falling into 5, where it came from."""
    made = b"".join(
        bytes([op, 0x01]) + offset.to_bytes(2, "little", signed=True) + bytes(4)
        for op, offset in (
            (0x15, 1),
            (0x95, 0),
            (0xB7, 0),
            (0x05, 1),
            (0xB7, 0),
            (0x15, -2),
            (0x95, 0),
        )
    )
    assert back_edges(made) == [(4, 5)]
