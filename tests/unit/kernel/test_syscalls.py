"""Tables of system calls."""

from orchestrator.kernel.syscalls import RETURNS_AS, syscall_numbers


def test_calls_that_return_as_another_one_are_calls_of_their_architecture() -> None:
    for arch, calls in RETURNS_AS.items():
        names = syscall_numbers(arch)
        assert {f"SYS_{name}" for pair in calls.items() for name in pair} <= names.keys()
