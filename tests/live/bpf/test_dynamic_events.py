"""Definition lines: what can be said, what is refused before the kernel sees it, and cleanup."""

from typing import Any

import pytest

from orchestrator.kernel.abi import dynamic_events
from orchestrator.kernel.abi.dynamic_events import DefinitionError, Event
from tests.live.bpf.conftest import Workload


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"symbol": "vfs_read"}, "p:grp/ev vfs_read"),
        ({"symbol": "vfs_read", "offset": 16}, "p:grp/ev vfs_read+16"),
        ({"symbol": "vfs_read", "returns": True}, "r1024:grp/ev vfs_read"),
        ({"symbol": "x.isra.0", "returns": True, "maxactive": 9}, "r9:grp/ev x.isra.0"),
        ({"symbol": "nf_tables:nft_do_chain"}, "p:grp/ev nf_tables:nft_do_chain"),
        ({"path": "/bin/sh", "offset": 64}, "p:grp/ev /bin/sh:0x40"),
        ({"path": "/bin/sh", "offset": 64, "returns": True}, "r:grp/ev /bin/sh:0x40"),
        ({"path": "/a", "offset": 1, "ref_counter": 18}, "p:grp/ev /a:0x1(0x12)"),
        ({"symbol": "f", "fetch": ("n=%di:u64", "c=$comm")}, "p:grp/ev f n=%di:u64 c=$comm"),
    ],
)
def test_lines_are_written_as_the_kernel_documents_them(given: dict[str, Any], line: str) -> None:
    assert Event(group="grp", name="ev", **given).line == line


@pytest.mark.parametrize(
    "given",
    [
        {"name": "ev\n-:other/ev"},
        {"name": "ev ;"},
        {"name": ""},
        {"name": "e" * 64},
        {"group": "a/b"},
        {"group": "Grp"},
        {"symbol": "vfs_read\np:x/y z"},
        {"symbol": "vfs_read "},
        {"symbol": "vfs read"},
        {"symbol": "0xffffffff81000000"},
        {"symbol": "ünicode"},
        {"symbol": None},
        {"symbol": None, "path": "relative", "offset": 1},
        {"symbol": None, "path": "/with space", "offset": 1},
        {"symbol": None, "path": "/with:colon", "offset": 1},
        {"symbol": None, "path": "/with\nnewline", "offset": 1},
        {"symbol": None, "path": "/bin/(x)", "offset": 1},
        {"path": "/bin/sh"},
        {"offset": -1},
        {"offset": 4, "returns": True},
        {"maxactive": 0},
        {"maxactive": 4097},
        {"fetch": ("a b",)},
        {"fetch": ("a\n",)},
        {"fetch": ("x" * 5000,)},
    ],
)
def test_what_could_be_read_differently_is_refused(given: dict[str, Any]) -> None:
    """Metacharacters, over-long names and contradictions never reach tracefs."""
    with pytest.raises(ValueError, match=r"."):
        Event(**({"group": "grp", "name": "ev", "symbol": "vfs_read"} | given))


def test_all_events_are_defined_or_none(workload: Workload, group: str) -> None:
    """The second definition is refused by the kernel: the first is gone, and the reason is
    reported."""
    offset = workload.offset_of("target_fn")
    good = Event(group=group, name="good", path=str(workload.binary), offset=offset)
    bad = Event(group=group, name="bad", path=f"{workload.binary}.not", offset=offset)
    journal: list[str] = []
    with pytest.raises(DefinitionError, match=r"bad .*find the given file .*ENOENT"):
        dynamic_events.define_events([good, bad], journal.append)
    assert journal == [good.full_name, bad.full_name]
    assert group not in (dynamic_events.TRACEFS / "dynamic_events").read_text()


def test_the_kernels_own_reason_is_passed_on(workload: Workload, group: str) -> None:
    """EINVAL means many things; error_log reports which."""
    event = Event(
        group=group, name="reg", path=str(workload.binary), offset=64, fetch=("a=%nosuch",)
    )
    with pytest.raises(DefinitionError, match="Invalid register name"):
        dynamic_events.define_events([event], lambda _: None)


def test_removing_what_is_gone_is_no_error(group: str) -> None:
    dynamic_events.remove_events([f"{group}/never_was"])


def test_a_name_that_occurs_twice_has_no_profile(workload: Workload, group: str) -> None:
    """The kernel lists names without groups: an ambiguous one is left out rather than guessed."""
    offset = workload.offset_of("target_fn")
    twins = [
        Event(group=f"{group}{n}", name=f"{group}_twin", path=str(workload.binary), offset=offset)
        for n in ("", "b")
    ]
    dynamic_events.define_events(twins, lambda _: None)
    reported = dynamic_events.read_profile([f"{group}_twin"])
    dynamic_events.remove_events([twin.full_name for twin in twins])
    assert reported == {}
