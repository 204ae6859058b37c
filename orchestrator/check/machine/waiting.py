"""Where the program of a machine waits: it is stored there, and each seed goes on from there."""

import fcntl
import os
import time
from pathlib import Path

from orchestrator.plan.findings import Finding, HostError

__all__ = ["wait_to_be_stored"]

# QEMU, docs/specs/pvpanic.txt: what stops a machine, and the port that it is written to.
_STOP_BYTE, _STOP_PORT = b"\x01", 0x505
_PORTS, _RANDOM = Path("/dev/port"), Path("/dev/urandom")
_RESEED = 0x5207  # RNDRESEEDCRNG, include/uapi/linux/random.h
_LONGEST_NS = 100_000_000  # many ticks


def wait_to_be_stored() -> None:
    """Stop the machine. Once it goes on, take other random numbers from the CPU, whose seed is
    another one, and wait for a time that they say: the phase of the kernel's ticks, and of what it
    does now and then. Raises HostError where the kernel does not let programs write to ports."""
    try:
        _stop()
        _reseed()
    except OSError as error:
        message = f"the machine cannot be stored and go on: {error}"
        hint = "use a kernel with CONFIG_DEVPORT that is not locked down"
        raise HostError([Finding(code="PP096", message=message, hint=hint)]) from None
    time.sleep(int.from_bytes(os.getrandom(8), "little") % _LONGEST_NS / 1e9)


def _stop() -> None:
    with _PORTS.open("r+b", buffering=0) as ports:
        os.pwrite(ports.fileno(), _STOP_BYTE, _STOP_PORT)


def _reseed() -> None:
    with _RANDOM.open("r+b", buffering=0) as random:
        fcntl.ioctl(random, _RESEED)
