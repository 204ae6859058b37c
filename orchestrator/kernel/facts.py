"""Everything that is known about one kernel, in one value: live, or loaded from a recording."""

import os
import re
from collections import ChainMap
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from orchestrator.kernel.abi.elf_notes import RUNNING_NOTES, find_build_id
from orchestrator.kernel.btf_types import OWN_TYPES, BtfError, OwnTypeTable, TypeTable
from orchestrator.kernel.feature import Feature
from orchestrator.kernel.features import LiveFeatures
from orchestrator.kernel.recording import Recording, read_recording, write_recording
from orchestrator.kernel.symbols import Symbols
from orchestrator.kernel.tracepoints import Tracepoint, parse_format
from orchestrator.kernel.tree import WatchedTree, cpu_list, read_text, tracing_path

if TYPE_CHECKING:
    from orchestrator.kernel.btf import Btf
    from orchestrator.kernel.btf_blob import Blob
    from orchestrator.kernel.module_types import KernelTypes

__all__ = ["Feature", "KernelFacts", "live_facts", "load_facts", "save_facts"]

_BTF = "sys/kernel/btf"
_Types = TypeVar("_Types", "Blob", "Btf")
_BEST = 9 | 1 << 31  # lzma.PRESET_EXTREME, which only recordings need
_SYSCALL = re.compile(r"^__(?:x64|arm64|s390x|riscv)_sys_(\w+)$")


class KernelFacts:
    """Facts about one kernel. Making one is cheap: each fact is read when first asked for.

    `release`, `arch` (uname's words) and `page_size` (bytes) are the host's own; `recorded`: they
    are from a recording, not from the running kernel; `source` names their origin, for messages.
    `own_types`: a table with types that are not the kernel's, where a plan is compiled.
    """

    def __init__(self, kept: Recording, *, recorded: bool, source: str) -> None:
        self.tree = kept.tree
        self.release = kept.release
        self.arch = kept.arch
        self.page_size = kept.page_size
        self.features = kept.features
        self.recorded = recorded
        self.source = source
        self._trimmed = kept.trimmed
        self.symbols = Symbols(kept.tree)
        self._tracepoints: dict[tuple[str, str], Tracepoint | None] = {}
        self._module_types: dict[str, Btf | None] = {}
        self._unread_types: dict[str, str] = {}
        self._kernel_types: list[KernelTypes | None] = []
        self.own_types: OwnTypeTable | None = None

    def __repr__(self) -> str:
        return f"KernelFacts({self.release} {self.arch}, {self.source})"

    def feature(self, name: str) -> Feature:
        """A feature by name; unknown where a recording is older than the name."""
        try:
            return self.features[name]
        except KeyError:
            return Feature(state="unknown", detail=f"{self.source} has no record of {name}")

    def with_features(self, others: Mapping[str, Feature]) -> "KernelFacts":
        """The same kernel with the features `others` instead. What was read of it before
        serves both."""
        changed = copy(self)
        changed.features = ChainMap(dict(others), cast("dict[str, Feature]", self.features))
        return changed

    def with_own_types(self, types: OwnTypeTable) -> "KernelFacts":
        """The same kernel, with types that are not its own in addition."""
        changed = copy(self)
        changed.own_types = types
        return changed

    def table_of(self, type_id: int) -> TypeTable | None:
        """The table that has the type of this id; None where there are no types."""
        return self.own_types if type_id >= OWN_TYPES else self.btf

    @cached_property
    def build_id(self) -> str | None:
        """The build id of the kernel's image, in hexadecimal; None where it is not known."""
        try:
            return find_build_id(self.tree.read(RUNNING_NOTES))
        except OSError:
            return None

    @cached_property
    def trimmed(self) -> bool | None:
        """Whether types of the kernel were left out when it was recorded, so that fewer functions
        have a trampoline here than there; None where that is not known.

        Recordings of older releases do not say so: there, placeholders prove it.
        """
        if self._trimmed is not None or self.btf is None:
            return self._trimmed
        return True if self.btf.has_placeholders() else None

    @cached_property
    def online_cpus(self) -> tuple[int, ...]:
        """Numbers of the online CPUs; perf events are opened on the first of them."""
        return cpu_list(read_text(self.tree, "sys/devices/system/cpu/online") or "0")

    @cached_property
    def possible_cpus(self) -> int:
        """How many CPUs per-CPU maps have values for, online or not."""
        return len(cpu_list(read_text(self.tree, "sys/devices/system/cpu/possible") or "0"))

    @cached_property
    def tracing(self) -> str | None:
        """Where tracefs is mounted, relative to the root; None where it is not."""
        return tracing_path(self.tree)

    @property
    def btf(self) -> "KernelTypes | None":
        """The types of the kernel and its modules, or None where there are none that can be read:
        `why_no_types` says why. They are read once for these facts and those made of them."""
        if not self._kernel_types:
            self._kernel_types.append(self._read_kernel_types())
        return self._kernel_types[0]

    def _read_kernel_types(self) -> "KernelTypes | None":
        from orchestrator.kernel.btf_blob import Blob
        from orchestrator.kernel.module_types import KernelTypes

        blob = self._read_types("vmlinux", Blob.parse)
        if blob is None:
            return None
        modules = [name for name in self.tree.names(_BTF) if name != "vmlinux"]
        return KernelTypes(blob, modules, self.module_btf)

    def module_btf(self, module: str) -> "Btf | None":
        """The kernel's types and, after them, a module's own; None where it has none loaded."""
        if module not in self._module_types:
            known = self.btf is not None and module in self.tree.names(_BTF)
            self._module_types[module] = self._read_btf(module) if known else None
        return self._module_types[module]

    @property
    def why_no_types(self) -> str:
        """Why types that this kernel or a loaded module has could not be used, as far as they were
        asked for; "" where there are none, or none failed."""
        if self.btf is None and not self._unread_types:
            missing = self.feature("btf")
            return missing.detail if missing.state == "unknown" else ""
        return "; ".join(self._unread_types.values())

    def _read_btf(self, module: str) -> "Btf | None":
        from orchestrator.kernel.btf import Btf  # a start that is warm reads no types

        return self._read_types(module, lambda data: Btf.from_bytes(data, self.btf))

    def _read_types(self, name: str, parse: Callable[[bytes], _Types]) -> _Types | None:
        """None where there are none, and also where they cannot be read, which is kept."""
        path = f"{_BTF}/{name}"
        try:
            return parse(self.tree.read(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unread_types[name] = f"/{path} cannot be read: {error.strerror}"
        except BtfError as error:
            self._unread_types[name] = f"/{path} cannot be used: {error}"
        return None

    def tracepoint(self, category: str, event: str) -> Tracepoint | None:
        """The event's record layout, or None where the kernel has no such tracepoint."""
        key = (category, event)
        if key not in self._tracepoints:
            self._tracepoints[key] = self._read_tracepoint(category, event)
        return self._tracepoints[key]

    def tracepoint_names(self) -> tuple[tuple[str, str], ...]:
        """All (category, event), sorted. Events that this or another tracer defined are in it."""
        events = f"{self.tracing}/events"
        return tuple(
            (category, event)
            for category in self.tree.names(events)
            for event in self.tree.names(f"{events}/{category}")
            if category != "ftrace" and self.tree.exists(f"{events}/{category}/{event}/format")
        )

    def value_names(self, category: str, event: str) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """Names that a tracepoint gives to values, by field. Recordings have none."""
        from orchestrator.kernel.trace.print_tables import parse_tables  # to show, not to run

        if not (_is_name(category) and _is_name(event)):
            return {}
        text = read_text(self.tree, f"{self.tracing}/events/{category}/{event}/format")
        return parse_tables(text or "", self._find_constant)

    def _find_constant(self, name: str) -> int | None:
        from orchestrator.kernel.constants import constant  # as above

        known = constant(name, self.arch)
        return known if known is not None or self.btf is None else self.btf.enumerator(name)

    def syscalls(self) -> tuple[str, ...]:
        """System calls by the kernel's name for them (`newstat`, not `stat`), sorted."""
        prefix = "sys_enter_"
        traced = self.tree.names(f"{self.tracing}/events/syscalls")
        names = {name.removeprefix(prefix) for name in traced if name.startswith(prefix)}
        if not names:
            matches = map(_SYSCALL.match, self.symbols.names)
            names = {match[1] for match in matches if match}
        return tuple(sorted(names))

    def _read_tracepoint(self, category: str, event: str) -> Tracepoint | None:
        if not (_is_name(category) and _is_name(event)):
            return None
        text = read_text(self.tree, f"{self.tracing}/events/{category}/{event}/format")
        return None if text is None else parse_format(category, event, text)


def _is_name(text: str) -> bool:
    """Tracefs names are identifiers, with a few dashes; paths are refused here."""
    return re.fullmatch(r"[\w-]+", text) is not None


def live_facts(root: Path = Path("/")) -> KernelFacts:
    """Facts of the running kernel, read under `root`, which is "/" except in tests."""
    tree = WatchedTree(root)
    kept = Recording(
        tree=tree,
        release=read_text(tree, "proc/sys/kernel/osrelease") or os.uname().release,
        arch=os.uname().machine,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        features=LiveFeatures(tree),
        trimmed=False,
    )
    source = "this host" if root == Path("/") else str(root)
    return KernelFacts(kept, recorded=False, source=source)


def load_facts(path: Path) -> KernelFacts:
    """Facts that `save_facts` wrote. Raises OSError, and RecordingError for another file."""
    kept = read_recording(path.read_bytes(), str(path))
    return KernelFacts(kept, recorded=True, source=str(path))


def save_facts(facts: KernelFacts, path: Path) -> None:
    """Record the facts into a file. Raises OSError."""
    path.write_bytes(facts_bytes(facts))


def facts_bytes(facts: KernelFacts, preset: int = _BEST) -> bytes:
    """The bytes that `save_facts` writes: 1 to 2 MB. `preset` is xz's; the best takes a few
    seconds."""
    return write_recording(
        Recording(
            tree=facts.tree,
            release=facts.release,
            arch=facts.arch,
            page_size=facts.page_size,
            features=dict(facts.features),
            trimmed=facts.trimmed,
        ),
        facts.tracepoint_names(),
        facts.tracing,
        preset,
    )
