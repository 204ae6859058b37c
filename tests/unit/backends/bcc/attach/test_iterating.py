"""Reading iterators: to the end, or what went wrong."""

import errno
import os
from collections.abc import Iterator

import pytest

from orchestrator.backends.bcc.attach.iterating import read_iterators
from orchestrator.backends.bcc.handles.attachment import AttachedSide, Attachment
from orchestrator.kernel.abi import bpf_iterators

TASKS, FILES = 101, 102  # descriptors of links


class Kernel:
    """What reads of iterators answer, by link: errors, bytes, and b"" at the end."""

    def __init__(self, answers: dict[int, list[int | bytes]]) -> None:
        self.answers, self.opened, self.closed = answers, list[int](), list[int]()

    def create(self, _command: int, attributes: bytes) -> int:
        self.opened.append(link := int.from_bytes(attributes[:4], "little"))
        return link

    def read(self, link: int, _size: int) -> bytes:
        answer = self.answers[link].pop(0)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel({})
    monkeypatch.setattr(bpf_iterators, "call_bpf", made.create)
    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.kernel.abi.bpf_iterators.os.read", made.read)
        patched.setattr("orchestrator.kernel.abi.bpf_iterators.os.close", made.closed.append)
        yield made


def sides() -> list[AttachedSide]:
    attachments = [
        Attachment(mechanism="iterator", place="task", fds=[TASKS]),
        Attachment(mechanism="iterator", place="task_file", fds=[FILES]),
        Attachment(mechanism="raw tracepoint", place="sched_switch", fds=[103]),
    ]
    return [AttachedSide(side=None, program=1, attachment=one) for one in attachments]


def test_a_read_goes_on_after_a_million_objects(kernel: Kernel) -> None:
    """The kernel answers EAGAIN then, and with the rest at the next read."""
    kernel.answers = {TASKS: [errno.EAGAIN, errno.EAGAIN, b""], FILES: [b"printed", b""]}
    assert list(read_iterators(sides())) == []
    assert kernel.answers == {TASKS: [], FILES: []}
    assert kernel.opened == kernel.closed == [TASKS, FILES]


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.EBADF, errno.EINTR, errno.EIO])
def test_a_read_that_fails_midway_is_said_and_the_others_are_read(
    kernel: Kernel, error: int
) -> None:
    """What it had opened is closed."""
    kernel.answers = {TASKS: [errno.EAGAIN, error], FILES: [b""]}
    assert list(read_iterators(sides())) == [
        f"iter:task could not be read to its end: {os.strerror(error)}"
    ]
    assert kernel.opened == kernel.closed == [TASKS, FILES]


def test_an_iterator_that_cannot_be_opened_is_said(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_command: int, _attributes: bytes) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(bpf_iterators, "call_bpf", refuse)
    assert len(list(read_iterators(sides()))) == 2
    assert kernel.closed == []
