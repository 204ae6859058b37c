"""Signals that end a run are remembered, and handlers are as before afterwards."""

import os
import signal
import threading

import pytest

from orchestrator.run.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_kept_and_nothing_is_interrupted(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Signals() as signals:
        assert signals.received is None
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == number
    assert signal.getsignal(number) == before


def test_a_hang_up_that_was_ignored_stays_ignored() -> None:
    """As nohup has it; the other signals end a run all the same."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.received is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.received == signal.SIGTERM
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_changed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    received: list[object] = []

    def enter() -> None:
        with Signals() as signals:
            received.append(signals.received)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert received == [None]
    assert signal.getsignal(signal.SIGTERM) == before
