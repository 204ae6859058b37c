"""The part of a check that is about its machine."""

from orchestrator.check.model import MachineSpec
from orchestrator.plan import units
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.reader import DocumentReader

__all__ = ["read_machine"]

_MIB = 1 << 20
_LEAST_MEMORY, _MOST_MEMORY = 256 * _MIB, 64 << 30
_LEAST_DISK, _MOST_DISK = 8 * _MIB, 16 << 30
#: What of a workload has no meaning in a machine, and why.
_UNFIT = {
    "repeats": "each seed is one repeat: write `machine: {seeds: N}`",
    "cpu": "a machine has one CPU",
}


def read_machine(reader: DocumentReader, *, sided: bool = False) -> MachineSpec | None:
    """The machine, None where the check has none. Problems go to the reader's collector. `sided`:
    the check is one of two sides."""
    head: DocumentPath = ("machine",)
    data = reader.get(head)
    if not isinstance(data, dict):
        return None
    _report_unfit(reader)
    if sided:
        message = "two sides (--ab) are not compared in a machine"
        hint = "record a baseline with one value of the param (--set), and check with the other"
        reader.collector.add("PP230", message, reader.place(head), hint)
    default = MachineSpec(kernel="")
    return MachineSpec(
        kernel=str(data.get("kernel", "")),
        memory=reader.quantity((*head, "memory"), _read_memory, default.memory),
        disk=reader.quantity((*head, "disk"), _read_disk, default.disk),
        files=tuple(data.get("files", ())),
        seeds=data.get("seeds", default.seeds),
        position=reader.collector.document.key_position(head),
    )


def _read_memory(text: str) -> int:
    """Whole MiB, as QEMU has it."""
    size = units.parse_bytes(text, low=_LEAST_MEMORY, high=_MOST_MEMORY)
    return -(-size // _MIB) * _MIB


def _read_disk(text: str) -> int:
    return units.parse_bytes(text.removeprefix("ext4 "), low=_LEAST_DISK, high=_MOST_DISK)


def _report_unfit(reader: DocumentReader) -> None:
    for name, hint in _UNFIT.items():
        path: DocumentPath = ("workload", name)
        if reader.get(path) is not None:
            message = f"`{name}` has no meaning in a machine"
            reader.collector.add("PP230", message, reader.place(path), hint)
