"""Symbols: by hand where the kernel's shape matters, live and recorded where its truth does."""

import errno
import random

import pytest

from orchestrator.kernel.facts import KernelFacts
from tests.support.recorded import recorded
from tests.support.trees import TRACING, facts


def test_functions_of_one_name_are_counted_with_their_modules() -> None:
    symbols = facts().symbols
    assert [symbols.count(n) for n in ("vfs_read", "init_once", "absent")] == [1, 2, 0]
    assert symbols.module("ext4_sync_file") == "ext4"
    assert symbols.module("vfs_read") is None


@pytest.mark.parametrize(
    "name", ["jiffies", "sysctl_text", "__pfx_vfs_read", "vfs_rea", "", "T", "bpf_prog_1"]
)
def test_data_padding_and_parts_of_names_are_no_functions(name: str) -> None:
    """7.3 types jiffies as T: its address, beyond _etext, says that it is data."""
    assert not facts().symbols.is_function(name)
    assert name not in facts().symbols.names


@pytest.mark.parametrize("name", ["vfs_read\n", "vfs read", "vfs_read\0", "../x", "é", "%s" * 99])
def test_names_that_are_no_identifiers_are_simply_not_there(name: str) -> None:
    symbols = facts().symbols
    assert (symbols.count(name), symbols.traceable(name)) == (0, "no")


def test_hidden_addresses_leave_the_types_to_decide() -> None:
    hidden = b"0000000000000000 T _stext\n0000000000000000 T vfs_read\n0000000000000000 T _etext\n"
    symbols = facts({"proc/kallsyms": hidden}).symbols
    assert symbols.is_function("vfs_read")
    assert symbols.address("vfs_read") is None


def test_a_list_that_is_closed_is_unknown_and_not_a_no() -> None:
    closed = facts(
        {
            f"{TRACING}/available_filter_functions": errno.EPERM,
            "sys/kernel/debug/kprobes/blacklist": errno.EACCES,
        }
    ).symbols
    assert (closed.traceable("vfs_read"), closed.blacklisted("vfs_read")) == ("unknown", "unknown")
    opened = facts().symbols
    assert (opened.traceable("vfs_read"), opened.traceable("vfs_readv")) == ("yes", "no")
    assert opened.traceable("ext4_sync_file") == "yes"
    assert (opened.blacklisted("exc_int3"), opened.blacklisted("vfs_read")) == ("yes", "no")


def test_kallsyms_that_cannot_be_read_has_no_functions() -> None:
    assert facts({"proc/kallsyms": errno.EACCES}).symbols.names == ()


def test_renames_and_variants_are_listed_and_never_matched() -> None:
    symbols = facts().symbols
    assert symbols.renamed("__kmalloc") == ("__kmalloc_noprof",)
    assert symbols.renamed("finish_task_switch") == ("finish_task_switch.isra.0",)
    assert symbols.variants("do_work") == ("do_work.cold",)
    assert not symbols.is_function("finish_task_switch")
    assert symbols.renamed("vfs_read") == ()


def test_the_nearest_names_come_first() -> None:
    assert facts().symbols.nearest("vfs_raed") == ("vfs_read", "vfs_readv")


def test_globs_are_sorted_and_bounded() -> None:
    symbols = facts().symbols
    assert symbols.glob("vfs_*", 10) == ("vfs_read", "vfs_readv")
    assert symbols.glob("vfs_*", 1) == ("vfs_read",)
    assert symbols.glob("vfs_rea?", 10) == ("vfs_read",)
    assert symbols.glob("[ab]*", 10) == ()


@pytest.mark.slow
def test_each_live_function_is_found_again_by_its_name(live: KernelFacts) -> None:
    names = live.symbols.names
    assert len(names) > 10_000
    for name in random.Random(1).sample(names, 100):  # noqa: S311  repeatable
        assert live.symbols.is_function(name), name


def test_a_live_address_is_the_one_in_kallsyms(live: KernelFacts) -> None:
    line = next(
        line for line in live.tree.read("proc/kallsyms").splitlines() if line.endswith(b" vfs_read")
    )
    assert live.symbols.address("vfs_read") == (int(line.split()[0], 16) or None)


def test_recorded_kernels_know_what_is_traceable(recorded: KernelFacts) -> None:
    symbols = recorded.symbols
    if recorded.feature("filter_functions"):
        assert symbols.traceable("vfs_read") == "yes"
        assert symbols.traceable("exc_int3") == "no"
    else:
        assert symbols.traceable("vfs_read") == "unknown"
    assert symbols.is_function("vfs_read")
    assert not symbols.is_function("jiffies")


@pytest.mark.parametrize("release", ["5.10", "6.1", "7.x"])
def test_many_functions_are_judged_as_each_is(release: str) -> None:
    symbols = recorded(release).symbols
    names = [*symbols.names[:: len(symbols.names) // 40], "exc_int3", "init_once", "vfs_read"]
    one_by_one = [
        name
        for name in names
        if symbols.count(name) == 1
        and symbols.traceable(name) != "no"
        and symbols.blacklisted(name) != "yes"
    ]
    assert list(symbols.select_probeable(names)) == one_by_one


def test_functions_are_probeable_by_all_names_of_an_address() -> None:
    """ftrace lists one of them; kprobes refuse a name that occurs twice."""
    symbols = facts().symbols
    names = ("vfs_read", "init_once", "exc_int3", "freed_after_boot", "ext4_sync_file")
    assert symbols.select_probeable(names) == ("vfs_read", "ext4_sync_file")
