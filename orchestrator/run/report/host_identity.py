"""Which host a result is from, so that the results of many hosts can be kept apart.

machine-id(5) asks programs not to publish the machine's id: what is kept is a keyed hash of it,
which is the same in all results of a host and useless elsewhere.
"""

from pathlib import Path
from typing import Any

from orchestrator.accounting.count import UNKNOWN
from orchestrator.kernel.abi.clock import read_clock_state
from orchestrator.kernel.facts import KernelFacts

__all__ = ["describe_clock", "describe_host", "hash_machine_id", "read_host_id"]

_MACHINE_ID, _BOOT_ID = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")
_KEY = b"probeplan"
_DIGITS = 16
_MACHINE_ID_DIGITS = 32


def describe_host(
    facts: KernelFacts, machine_id: Path = _MACHINE_ID, boot_id: Path = _BOOT_ID
) -> dict[str, Any]:
    """The fields of a result that say where it was made: `host_id`, `boot_id`, `kernel_build_id`
    (hexadecimal; None: not known), `arch` and `cpus`, the number of online CPUs."""
    return {
        "host_id": read_host_id(machine_id),
        "boot_id": _read_line(boot_id) or UNKNOWN,
        "kernel_build_id": facts.build_id,
        "arch": facts.arch,
        "cpus": len(facts.online_cpus),
    }


def read_host_id(machine_id: Path = _MACHINE_ID) -> str:
    """The id of this host in results; "unknown" where it has no machine id."""
    return hash_machine_id(_read_line(machine_id))


def describe_clock(steps: int) -> dict[str, Any]:
    """How far times of this host can be compared with those of others: whether its clock is
    `synchronised`, by how many ns it may be off, and how often it was set during the run."""
    state = read_clock_state()
    if state is None:
        return {"synchronised": UNKNOWN, "error_ns": UNKNOWN, "steps": steps}
    return {"synchronised": state.synchronised, "error_ns": state.error_ns, "steps": steps}


def hash_machine_id(machine_id: str) -> str:
    """HMAC-SHA256 of the text of a machine id with the key "probeplan", its first 16 digits;
    "unknown" for what is no machine id, as in an image that was never booted (`uninitialized`)."""
    if len(machine_id) != _MACHINE_ID_DIGITS or not _is_hexadecimal(machine_id):
        return UNKNOWN
    import hmac  # lazy: 5 ms, paid only by runs with --out, at their end

    return hmac.new(_KEY, machine_id.encode(), "sha256").hexdigest()[:_DIGITS]


def _is_hexadecimal(text: str) -> bool:
    return not text.strip("0123456789abcdef")


def _read_line(path: Path) -> str:
    """The text of a file of one line; "" where it cannot be read."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
