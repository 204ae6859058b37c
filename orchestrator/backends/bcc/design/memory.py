"""The maps that a program needs, and the kernel memory that they take.

Computed from possible CPUs, as the kernel allocates. Everything is preallocated, so the memory used
does not depend on the load of the host.
"""

from collections.abc import Iterable, Mapping

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.maps import MMAPABLE, MapSpec
from orchestrator.compile.program import MetricSpec, NoteProgram, Program, SpanProgram

SMALLEST_RING = 64 << 10
RECORD_HEADER_BYTES = 8  # in the ring, before each record
# struct htab_elem without key and value, and a bucket's head and lock (kernel/bpf/hashtab.c).
HASH_ELEMENT_BYTES = 48
HASH_BUCKET_BYTES = 16
PAGE_BYTES = 4096


def map_specs(map_layout: layout.MapLayout) -> dict[int, MapSpec]:
    """All maps but the ring, by placeholder."""
    specs = {
        layout.CONTROL: _array_spec("pp_control", map_layout.control_bytes, 1, MMAPABLE),
        layout.SHARED: _array_spec("pp_shared", map_layout.shared_bytes, 1, MMAPABLE),
        layout.LEDGER: _make_spec(
            "pp_ledger", "percpu_array", 4, map_layout.ledger_bytes, map_layout.elements
        ),
    }
    if map_layout.frame_bytes:
        specs[layout.OPEN] = _make_spec(
            "pp_open",
            "hash",
            layout.CALL_KEY_BYTES,
            map_layout.frame_bytes,
            layout.OPEN_ENTRIES,
        )
        specs[layout.CALLERS] = _make_spec(
            "pp_callers", "lru_hash", 8, layout.CALLER_BYTES, layout.CALLER_ENTRIES
        )
        if not map_layout.frames_on_stack:
            specs[layout.BLANK] = _array_spec("pp_blank", map_layout.frame_bytes, 1)
    if map_layout.follows_numbers:
        specs[layout.TASKS] = _make_spec("pp_tasks", "hash", 4, 1, map_layout.task_entries)
    if map_layout.follows_cgroups:
        specs[layout.CGROUPS] = _make_spec(
            "pp_cgroups", "hash", layout.WORD, layout.WORD, layout.CGROUP_ENTRIES
        )
    if map_layout.stack_depth:
        specs |= _stack_specs(map_layout)
    for metric in map_layout.program.metrics:
        specs |= _metric_specs(metric)
    for span in map_layout.program.spans:
        specs |= _span_specs(span)
    for note in map_layout.program.notes:
        specs |= _note_specs(note)
    for probe in map_layout.program.probes:
        if probe.once is not None:
            specs[layout.once_map(probe.index)] = _make_spec(
                "pp_once", "hash", probe.once.key_size, layout.WORD, probe.once.keys
            )
    return specs


def ring_spec(size: int) -> MapSpec:
    """The ring buffer, of `size` bytes."""
    return _make_spec("pp_ring", "ringbuf", 0, 0, size)


def _stack_specs(map_layout: layout.MapLayout) -> dict[int, MapSpec]:
    """The map of kept stacks, and the scratch memory of each CPU by nesting."""
    size = layout.stack_bytes(map_layout.stack_depth)
    scratch, words = layout.STACK_NESTING, len(layout.STACK_WORDS)
    return {
        layout.STACKS: _make_spec("pp_stacks", "hash", layout.WORD, size, map_layout.stack_entries),
        layout.STACK_SCRATCH: _make_spec(
            "pp_scratch", "percpu_array", 4, 2 * layout.WORD + size, scratch
        ),
        layout.STACK_COUNTS: _array_spec("pp_stack_counts", words * layout.WORD, 1),
    }


def _span_specs(span: SpanProgram) -> dict[int, MapSpec]:
    key, size = layout.span_key_bytes(span), layout.span_bytes(span)
    specs = {layout.span_map(span): _make_spec("pp_span", "hash", key, size, span.max_open)}
    if size > layout.STACK_FRAME_BYTES:
        specs[layout.span_blank(span)] = _array_spec("pp_span_blank", size, 1)
    return specs


def _note_specs(note: NoteProgram) -> dict[int, MapSpec]:
    size = layout.note_bytes(note)
    specs = {layout.note_map(note): _make_spec("pp_note", "hash", note.key_size, size, note.most)}
    if size > layout.STACK_FRAME_BYTES:
        specs[layout.note_blank(note)] = _array_spec("pp_note_blank", size, 1)
    return specs


def _metric_specs(metric: MetricSpec) -> dict[int, MapSpec]:
    specs: dict[int, MapSpec] = {}
    if metric.kind == "histogram":
        buckets = layout.bucket_count(metric) + 2
        specs[layout.dense_map(metric)] = _make_spec("pp_buckets", "percpu_array", 4, 8, buckets)
    if metric.key:
        specs[layout.keyed_map(metric)] = _make_spec(
            "pp_cells",
            "hash",
            layout.hash_key_bytes(metric),
            layout.cell_bytes(metric),
            layout.hash_entries(metric),
        )
    return specs


def _array_spec(name: str, size: int, entries: int, flags: int = 0) -> MapSpec:
    return _make_spec(name, "array", 4, size, entries, flags)


def _make_spec(  # noqa: PLR0913  # a map has this many properties
    name: str, kind: str, key: int, value: int, entries: int, flags: int = 0
) -> MapSpec:
    return MapSpec(
        name=name,
        kind=kind,  # type: ignore[arg-type]  # callers name kinds of MapKind
        key_size=key,
        value_size=value,
        max_entries=entries,
        flags=flags,
    )


def map_bytes(spec: MapSpec, cpus: int) -> int:
    """Bytes that the kernel allocates for a map with `cpus` possible CPUs."""
    value = layout.pad_to_word(spec.value_size)
    match spec.kind:
        case "array":
            size = value * spec.max_entries
            return -(-size // PAGE_BYTES) * PAGE_BYTES if spec.flags & MMAPABLE else size
        case "percpu_array":
            return (value * cpus + 8) * spec.max_entries
        case "ringbuf":
            return spec.max_entries + 3 * PAGE_BYTES
        case _:
            element = HASH_ELEMENT_BYTES + layout.pad_to_word(spec.key_size) + value
            buckets = 1 << (spec.max_entries - 1).bit_length()
            return element * (spec.max_entries + cpus) + HASH_BUCKET_BYTES * buckets


def by_purpose(
    map_layout: layout.MapLayout, specs: Mapping[int, MapSpec], cpus: int
) -> dict[str, int]:
    """Bytes of every map but the ring, by purpose."""
    purposes = {
        layout.CONTROL: "control",
        layout.SHARED: "control",
        layout.LEDGER: "ledger",
        layout.OPEN: "open calls",
        layout.BLANK: "open calls",
        layout.CALLERS: "open calls",
        layout.TASKS: "followed tasks",
        layout.CGROUPS: "followed cgroups",
        layout.STACKS: "stacks",
        layout.STACK_SCRATCH: "stacks",
        layout.STACK_COUNTS: "stacks",
    }
    for metric in map_layout.program.metrics:
        for placeholder in (layout.keyed_map(metric), layout.dense_map(metric)):
            purposes[placeholder] = f"metric {metric.probe}.{metric.name}"
    for span in map_layout.program.spans:
        for placeholder in (layout.span_map(span), layout.span_blank(span)):
            purposes[placeholder] = f"open {span.name}"
    for note in map_layout.program.notes:
        for placeholder in (layout.note_map(note), layout.note_blank(note)):
            purposes[placeholder] = f"note {note.name}"
    for probe in map_layout.program.probes:
        purposes[layout.once_map(probe.index)] = f"once of {probe.name}"
    totals: dict[str, int] = {}
    for placeholder, spec in specs.items():
        purpose = purposes[placeholder]
        totals[purpose] = totals.get(purpose, 0) + map_bytes(spec, cpus)
    return totals


def ring_bytes(program: Program, taken: Iterable[int]) -> int:
    """Size of the ring in bytes: the largest power of two that fits into what is left of
    limits.memory (`taken`: bytes of the other maps), at most half of limits.memory, and not more
    than all allowed records together. 0 without records."""
    if not program.emits:
        return 0
    budget = program.limits.memory
    room = min(budget - sum(taken) - 3 * PAGE_BYTES, budget // 2)
    largest = 1 << max(room, SMALLEST_RING).bit_length() - 1
    all_records = program.limits.events * (program.record_size + RECORD_HEADER_BYTES)
    enough = 1 << max(all_records - 1, SMALLEST_RING - 1).bit_length()
    return min(largest, enough)
