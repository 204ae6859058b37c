"""A recording answers as the kernel did that it was taken of; a damaged one is refused."""

import errno
import lzma
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts, facts_bytes, live_facts, load_facts, save_facts
from orchestrator.kernel.recording import Recording, RecordingError, read_recording
from orchestrator.kernel.tree import RecordedTree
from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from tests.support.recorded import HEAD
from tests.support.trees import facts
from tests.unit.kernel.conftest import KERNELS, RECORDED


@pytest.fixture(scope="module")
def again(live: KernelFacts, tmp_path_factory: pytest.TempPathFactory) -> KernelFacts:
    """This machine's kernel, recorded quickly and loaded."""
    path = tmp_path_factory.mktemp("facts") / "this.facts.xz"
    path.write_bytes(facts_bytes(live, preset=0))
    return load_facts(path)


@pytest.mark.slow
def test_a_recording_says_of_the_host_what_it_said_itself(
    live: KernelFacts, again: KernelFacts
) -> None:
    for name in ("release", "arch", "page_size", "possible_cpus", "online_cpus"):
        assert getattr(again, name) == getattr(live, name), name
    assert dict(again.features) == dict(live.features)
    assert again.syscalls() == live.syscalls()
    assert (again.recorded, live.recorded) == (True, False)


def named_fields(facts: KernelFacts, category: str, event: str) -> list[object]:
    """What the fields of a tracepoint know of the names of their values."""
    found = facts.tracepoint(category, event)
    return [field.names for field in found.fields] if found is not None else []


@pytest.mark.slow
def test_a_recording_has_the_same_tracepoints(live: KernelFacts, again: KernelFacts) -> None:
    for category, event in again.tracepoint_names():
        assert again.tracepoint(category, event) == live.tracepoint(category, event)
        assert named_fields(again, category, event) == named_fields(live, category, event)
    assert len(again.tracepoint_names()) > 500


@pytest.mark.slow
def test_a_recording_has_the_same_symbols(live: KernelFacts, again: KernelFacts) -> None:
    assert set(again.symbols.names) ^ set(live.symbols.names) == set()
    assert len(again.symbols.names) == len(live.symbols.names)
    chosen = random.Random(2).sample(live.symbols.names, 100)  # noqa: S311  repeatable
    for name in (*chosen, "absent", "init_once", "vfs_raed"):
        for ask in ("count", "module", "traceable", "blacklisted", "renamed"):
            answers = [getattr(facts.symbols, ask)(name) for facts in (live, again)]
            assert answers[0] == answers[1], (ask, name)
    assert live.symbols.glob("tcp_*", 50) == again.symbols.glob("tcp_*", 50)


@pytest.mark.slow
def test_a_recording_has_the_same_types(live: KernelFacts, again: KernelFacts) -> None:
    if live.btf is None:
        pytest.skip("this kernel lacks btf")
    assert again.btf is not None
    for name in ("vfs_read", "tcp_sendmsg", "absent"):
        assert live.btf.function(name) == again.btf.function(name)
    for type_id in range(0, len(live.btf), 499):
        assert live.btf.type(type_id) == again.btf.type(type_id)


@pytest.mark.slow
def test_a_recording_of_a_recording_is_the_same(tmp_path: Path, debian_6_1: KernelFacts) -> None:
    path = tmp_path / "copy.facts.xz"
    path.write_bytes(facts_bytes(debian_6_1, preset=0))
    copy = load_facts(path)
    before, after = debian_6_1.tree.files, copy.tree.files  # type: ignore[attr-defined]  # RecordedTree
    assert set(after) == set(before) | {"sys/kernel/notes"}  # older recordings have none
    assert [name for name in before if before[name] != after[name]] == []  # megabytes: no diff


def test_recording_keeps_what_was_closed_as_closed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_facts(facts({"sys/kernel/debug/kprobes/blacklist": 13}), path)
    assert load_facts(path).symbols.blacklisted("vfs_read") == "unknown"
    assert load_facts(path).symbols.traceable("vfs_read") == "yes"


@pytest.mark.parametrize("name", RECORDED)
def test_loading_a_recorded_kernel_is_quick(name: str) -> None:
    """Processor time, which other programs on the machine do not change much."""
    start = time.process_time()
    loaded = load_facts(KERNELS / f"{name}.facts.xz")
    assert loaded.tracepoint("sched", "sched_switch") is not None
    assert time.process_time() - start < 2.0  # some 0.2 s; this catches a hundredfold


def test_the_recorded_kernels_are_there() -> None:
    assert [
        *("5.10", "6.1", "6.1-arm64", "6.12", "6.12-arm64", "6.18-no-kprobes", "7.x")
    ] == RECORDED
    assert max(path.stat().st_size for path in KERNELS.glob("*.xz")) < 1.5e6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"", "cut short"),
        (b"plain text", "not facts recorded"),
        (lzma.compress(b'{"format": "other/9"}\n'), "other/9"),
        (lzma.compress(b"[]\n"), "not facts recorded"),
        (lzma.compress(b'{"format": "probeplan-facts/1"}\n'), "not facts recorded"),
        (lzma.compress(bytes(300 << 20), preset=0), "expands to more"),
    ],
)
def test_another_file_is_refused_by_name(content: bytes, reported: str) -> None:
    with pytest.raises(RecordingError, match=reported) as caught:
        read_recording(content, "some.xz")
    assert "some.xz" in str(caught.value)


_SMALL = facts_bytes(facts(), preset=0)


@given(at=st.integers(0, len(_SMALL) - 1), value=st.integers(0, 255))
def test_a_damaged_recording_is_refused_or_unchanged(at: int, value: int) -> None:
    damaged = bytearray(_SMALL)
    damaged[at] = value
    try:
        kept = read_recording(bytes(damaged), "x")
    except RecordingError:
        return
    assert kept.release == "6.0-made-up"


def test_facts_of_an_empty_root_are_unknown_and_not_an_error(tmp_path: Path) -> None:
    empty = live_facts(tmp_path)
    assert (empty.btf, empty.tracing, empty.tracepoint_names()) == (None, None, ())
    assert empty.tracepoint("sched", "sched_switch") is None
    assert empty.symbols.names == ()
    assert empty.syscalls() == ()
    assert empty.feature("tracefs").state == "no"
    assert empty.feature("no_such_feature").state == "unknown"


def test_cpus_are_counted_by_the_kernels_lists() -> None:
    made_up = facts()
    assert (made_up.possible_cpus, made_up.online_cpus) == (8, (1, 2, 3, 6))


def test_syscalls_come_from_kallsyms_where_they_are_not_traced() -> None:
    assert facts().syscalls() == ("read",)


def changed(kernel: KernelFacts, files: dict[str, bytes | int]) -> KernelFacts:
    """The recorded kernel with these files, or errors, in the place of what was recorded."""
    assert isinstance(kernel.tree, RecordedTree)
    kept = Recording(
        tree=RecordedTree({**kernel.tree.files, **files}),
        release=kernel.release,
        arch=kernel.arch,
        page_size=kernel.page_size,
        features={**kernel.features},
    )
    return KernelFacts(kept, recorded=True, source="changed")


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (errno.EACCES, "/sys/kernel/btf/vmlinux cannot be read: Permission denied"),
        (errno.EIO, "/sys/kernel/btf/vmlinux cannot be read: Input/output error"),
        (b"no types at all, and no header", "/sys/kernel/btf/vmlinux cannot be used: no BTF"),
    ],
)
def test_types_that_cannot_be_read_are_told_from_a_kernel_without_types(
    debian_6_1: KernelFacts, content: bytes | int, reported: str
) -> None:
    """A plan that needs none runs; one that needs them is refused with the reason."""
    there = changed(debian_6_1, {"sys/kernel/btf/vmlinux": content})
    assert there.btf is None
    assert there.why_no_types.startswith(reported)
    attach = f"{HEAD}probes: {{p: {{attach: 'function:vfs_read', metrics: {{n: {{count: true}}}}"
    assert compile_plan(load_plan(f"{attach}}}}}".encode()), there).hooks
    for where in ("args.count > 1", 'cast(arg0, "struct file").f_flags > 0'):
        with pytest.raises(HostError) as refused:
            compile_plan(load_plan(f"{attach}, where: '{where}'}}}}".encode()), there)
        assert reported in str(refused.value)
    without = changed(debian_6_1, {"sys/kernel/btf/vmlinux": errno.ENOENT})
    assert (without.btf, without.why_no_types) == (None, "")


def test_a_modules_types_that_cannot_be_read_are_told_from_a_module_without_types(
    debian_6_1: KernelFacts,
) -> None:
    there = changed(debian_6_1, {"sys/kernel/btf/one": errno.EIO, "sys/kernel/btf/two": b""})
    assert there.module_btf("none") is None
    assert there.why_no_types == ""
    assert there.module_btf("one") is None
    assert there.why_no_types == "/sys/kernel/btf/one cannot be read: Input/output error"
    assert there.module_btf("two") is None
    assert "; /sys/kernel/btf/two cannot be used: " in there.why_no_types


# ---------------------------------------------------------------- which kernel, and what is left


@pytest.mark.slow
def test_a_recording_keeps_the_build_id_and_that_nothing_was_left_out(
    live: KernelFacts, again: KernelFacts
) -> None:
    assert again.build_id == live.build_id is not None
    assert (again.trimmed, live.trimmed) == (False, False)


def test_a_kernel_without_notes_has_no_build_id() -> None:
    assert facts().build_id is None
    assert facts({"sys/kernel/notes": errno.EACCES}).build_id is None
    assert facts({"sys/kernel/notes": b"no notes"}).build_id is None


@pytest.mark.parametrize("name", RECORDED)
def test_placeholders_show_that_an_old_recording_is_trimmed(name: str) -> None:
    """Those that are kept for the tests are, and were made before recordings said so."""
    assert load_facts(KERNELS / f"{name}.facts.xz").trimmed is True


def test_of_other_old_recordings_it_is_not_known(live: KernelFacts) -> None:
    """This kernel's types are whole, but a recording without the field may lack any."""
    kept = Recording(
        tree=live.tree, release="", arch="x86_64", page_size=4096, features={}, trimmed=None
    )
    assert KernelFacts(kept, recorded=True, source="old").trimmed is None
    assert facts().trimmed is None  # no types at all


@pytest.mark.parametrize("trimmed", [True, False, None])
def test_what_a_recording_says_of_its_types_is_kept(trimmed: bool | None) -> None:
    kept = Recording(
        tree=RecordedTree({}), release="6.0", arch="x86_64", page_size=4096, features={},
        trimmed=trimmed,
    )  # fmt: skip
    content = facts_bytes(KernelFacts(kept, recorded=True, source="one"), preset=0)
    assert read_recording(content, "again").trimmed is trimmed
    head = lzma.decompress(content).replace(b'"trimmed":', b'"colour":')
    assert read_recording(lzma.compress(head, preset=0), "older").trimmed is None
