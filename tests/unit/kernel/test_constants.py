"""Constants against another account of them: Python's own modules, compiled on this platform."""

import errno
import mmap
import os
import platform
import signal
import socket
import stat
from types import ModuleType

import pytest

from orchestrator.kernel.constants import (
    CONSTANTS,
    GROUPS,
    constant,
    constants_on,
    errno_name,
    flag_names,
    names_by_value,
)
from orchestrator.kernel.facts import KernelFacts

# glibc hides O_LARGEFILE, which 64-bit systems need not set; stat.S_IFMT is a function.
HIDDEN = {"O_LARGEFILE", "S_IFMT"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="compares with x86-64's values")
@pytest.mark.parametrize(
    ("module", "prefix", "at_least"),
    [
        (errno, "E", 120),
        (os, "O_", 15),
        (signal, "SIG", 28),
        (socket, "AF_", 20),
        (socket, "IPPROTO_", 15),
        (socket, "SOCK_", 5),
        (mmap, "PROT_", 3),
        (mmap, "MAP_", 5),
        (stat, "S_", 7),
    ],
)
def test_values_are_this_platforms(module: ModuleType, prefix: str, at_least: int) -> None:
    known = {n: v for n, v in GROUPS[prefix].items() if hasattr(module, n) and n not in HIDDEN}
    assert len(known) >= at_least
    assert known == {name: int(getattr(module, name)) for name in known}


def test_tcp_states_are_those_of_every_recorded_kernel(recorded: KernelFacts) -> None:
    assert recorded.btf is not None
    for name, value in GROUPS["TCP_"].items():
        assert recorded.btf.enumerator(name) in (value, None), name
    assert recorded.btf.enumerator("TCP_CLOSE") == constant("TCP_CLOSE") == 7


def test_groups_are_told_apart_by_their_prefix() -> None:
    assert sum(map(len, GROUPS.values())) == len(CONSTANTS)
    assert constant("NO_SUCH") is None
    assert names_by_value("NO_SUCH_") == {}


def test_four_flags_of_open_are_others_on_arm64() -> None:
    """arch/arm64/include/uapi/asm/fcntl.h: O_NOFOLLOW there is O_LARGEFILE here."""
    x86, arm = "x86_64", "aarch64"
    assert (constant("O_NOFOLLOW", arm), constant("O_NOFOLLOW", x86)) == (0x8000, 0x20000)
    assert flag_names("O_", 0x8042, x86) == ("O_RDWR", "O_CREAT", "O_LARGEFILE")
    assert flag_names("O_", 0x8042, arm) == ("O_RDWR", "O_CREAT", "O_NOFOLLOW")
    assert flag_names("O_", 0x404002, arm) == ("O_RDWR", "O_TMPFILE")
    assert names_by_value("O_", arm)[0x10000] == "O_DIRECT"
    assert constants_on(arm).keys() == constants_on(x86).keys()
    assert constants_on(arm)["O_CLOEXEC"] == constant("O_CLOEXEC", arm) == 0x80000


def test_errno_names_come_back_from_both_signs() -> None:
    assert [errno_name(v) for v in (-2, 2, 11, -35, 0, 9999)] == [
        "ENOENT",
        "ENOENT",
        "EAGAIN",
        "EDEADLK",
        None,
        None,
    ]


def test_results_that_only_the_kernel_sees_are_named() -> None:
    """include/linux/errno.h: what a system call returns when a signal interrupts it."""
    assert [errno_name(-value) for value in (512, 513, 514, 516)] == [
        "ERESTARTSYS",
        "ERESTARTNOINTR",
        "ERESTARTNOHAND",
        "ERESTART_RESTARTBLOCK",
    ]


@pytest.mark.parametrize(
    ("prefix", "value", "names"),
    [
        ("O_", 0, ("O_RDONLY",)),
        ("O_", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, ("O_WRONLY", "O_CREAT", "O_TRUNC")),
        ("O_", 0x101002, ("O_RDWR", "O_SYNC")),
        ("O_", 0x1002, ("O_RDWR", "O_DSYNC")),
        ("MAP_", 0x22, ("MAP_PRIVATE", "MAP_ANONYMOUS")),
        ("PROT_", 0, ()),
        ("PROT_", 3, ("PROT_READ", "PROT_WRITE")),
        ("O_", 1 << 40, ("O_RDONLY", "0x10000000000")),
    ],
)
def test_flags_come_back_as_names(prefix: str, value: int, names: tuple[str, ...]) -> None:
    assert flag_names(prefix, value) == names
