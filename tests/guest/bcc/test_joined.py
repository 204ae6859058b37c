"""One link for many kernel functions, in booted kernels that have such links and that do not."""

from typing import Any

import pytest

from tests.guest.bcc.joined import CALLS
from tests.support.guest_cases import CaseResult

MODULE = "tests.guest.bcc.joined"


@pytest.mark.guest(f"{MODULE}:detect")
def test_links_are_detected_where_the_kernel_was_built_with_them(guest: CaseResult) -> None:
    """Of kernel functions by CONFIG_FPROBE; of user code since 6.6."""
    found = guest.result()
    fprobe = "CONFIG_FPROBE=y\n" in guest.kernel.config.read_text()
    assert found["kprobe_multi"] == ("yes" if fprobe else "no")
    major, minor = map(int, guest.kernel.release.split(".")[:2])
    assert found["uprobe_multi"] == ("yes" if (major, minor) >= (6, 6) else "no")


def case(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.guest(
        f"{MODULE}:count", prepare=f"{MODULE}:prepare", name=f"joined-{kind}", kind=kind
    )


def check_counts(found: Any) -> None:
    """Each function's own counters are exact, and so are the cells by `func`."""
    assert found["sides"]["__x64_sys_getppid"] == CALLS
    assert found["cells"] == {name: n for name, n in found["sides"].items() if n}
    assert found["sides"]["__x64_sys_getpgid"] == 0
    assert found["missed"] == [0]
    if found["joins"]:
        assert found["functions"] > 300
        assert found["mechanisms"] == ["kprobe multi"]
        assert found["places"] == [f"one link for {found['functions']} functions"]
    else:
        assert "kprobe multi" not in found["mechanisms"]


@case("entry")
def test_each_function_of_a_link_counts_its_own_calls(guest: CaseResult) -> None:
    check_counts(guest.result())


@case("kprobe")
def test_probes_of_a_link_count_their_own_calls(guest: CaseResult) -> None:
    check_counts(guest.result())
