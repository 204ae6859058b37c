"""Messages on standard error never disturb the command that prints them."""

import io
import os
import sys

import pytest

from orchestrator.cli.messages import print_error, print_message, print_note


def test_messages_name_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("a: b")
    print_message("c")
    print_note("d")
    captured = capsys.readouterr()
    assert captured.err == "a: b\nprobeplan: c\nprobeplan: note: d\n"
    assert captured.out == ""


def test_nothing_reaches_standard_output_when_standard_error_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    print_message("lost")
    assert capsys.readouterr().out == ""


def test_a_reader_that_has_left_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    broken = io.TextIOWrapper(os.fdopen(write, "wb", buffering=0), write_through=True)
    monkeypatch.setattr(sys, "stderr", broken)
    print_message("lost")
