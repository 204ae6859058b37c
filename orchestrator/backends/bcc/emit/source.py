"""A program's whole C text: structures, one function per side of a hook, and the programs that
follow children."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.function_names import ENDED, REPLACED
from orchestrator.backends.bcc.design.groups import ProgramGroup, find_spots, group_sides
from orchestrator.backends.bcc.design.joining import COOKIE_SIDE
from orchestrator.backends.bcc.design.mechanism import ACCESS, RETURNS, MechanismChoice
from orchestrator.backends.bcc.emit import stacks as emit_stacks
from orchestrator.backends.bcc.emit.calls import (
    close_calls,
    find_open_call,
    include_calls,
    leave_calls,
    render_enders,
)
from orchestrator.backends.bcc.emit.following.cgroups import (
    cgroup_functions,
    render_cgroup_followers,
    render_cgroup_test,
)
from orchestrator.backends.bcc.emit.following.tasks import (
    follower_functions,
    render_followers,
    render_numbers,
)
from orchestrator.backends.bcc.emit.hook import HookText
from orchestrator.backends.bcc.emit.notes.block import declare_notes
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.site import EmitError, EmitSite
from orchestrator.backends.bcc.emit.span import declare_span
from orchestrator.backends.bcc.emit.writer import CWriter, comment_text
from orchestrator.compile.program import Hook, Program
from orchestrator.kernel.btf import Btf
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.syscalls import COMPAT_FLAGS

#: What every function of a program uses. A disarmed program reads one word and counts.
_COMMON = """
struct line { u64 word, pad[LINE_PAD]; };
struct shared { struct line line[SHARED_LINES]; };
struct cell { u64 count, value; };
struct sum_cell { u64 count, high, value; };

#define COUNT(word) PP_ADD(&ledger->word, 1)
#define DROP(word) do { COUNT(word); return; } while (0)

PP_INLINE void disarm(struct control *control)
{
#pragma clang loop unroll(full)
	for (u32 i = 0; i < ENABLED_WORDS; i++)
		PP_WRITE(control->enabled[i], 0);
}

/* The first event of a CPU in a tick reads the clock; past the deadline it disarms all probes. */
PP_INLINE int over(struct control *control, struct ledger *ledger)
{
	u64 tick = pp_jiffies64();
	if (PP_LIKELY(tick == ledger->tick))
		return 0;
	ledger->tick = tick;
	if (pp_ktime_ns() < control->deadline)
		return 0;
	disarm(control);
	return 1;
}

#define FUSE(word, bit)                                                                    \\
	do {                                                                               \\
		if (!(PP_READ(control->enabled[word]) >> (bit) & 1) || over(control, ledger)) \\
			DROP(expired);                                                     \\
		COUNT(entered);                                                            \\
	} while (0)

/* The programs of a canary do no more with an event than to count it. */
#define ONLY_COUNTED(word)                                                                 \\
	do {                                                                               \\
		if (PP_UNLIKELY(control->counting))                                        \\
			DROP(word);                                                        \\
	} while (0)
"""

_MEMBERS = {
    "task_struct": (
        *("pid", "tgid", "comm", "cred", "mm", "signal", "utask", "thread_pid", "exit_state"),
    ),
    "cred": ("uid", "gid"),
    "signal_struct": ("live",),
    "uprobe_task": ("depth",),
    "mm_struct": ("exe_file",),
    "file": ("f_inode",),
    "inode": ("i_ino", "i_sb"),
    "super_block": ("s_dev",),
    "pid": ("level", "numbers"),
}


def render_source(
    program: Program,
    map_layout: layout.MapLayout,
    choices: Mapping[int, MechanismChoice],
    facts: KernelFacts,
    numbers: OpenNumbers,
) -> str:
    """The C of `program`, whose open numbers go to `numbers`. Raises HookError, naming the hook,
    for what cannot be computed."""
    fetch = "#define PP_HAVE_FETCH 1\n" if facts.feature("fetch_atomics") else ""
    groups = group_sides(map_layout, choices)
    spots = find_spots(groups)
    parts = [
        f"/* {comment_text(program.name)} */\n",
        fetch + "#include <probeplan/runtime.h>\n" + emit_stacks.include_stacks(map_layout) + "\n",
        declare_elements(map_layout),
        include_calls(program.arch, program.hooks, spots) if map_layout.frame_bytes else "",
        render_common(map_layout),
        render_numbers(map_layout, numbers),
        render_cgroup_test(map_layout),
    ]
    offsets = task_offsets(facts)
    parts += map(declare_span, program.spans)
    parts.append(declare_notes(program.notes))
    same = {side.index for group in groups for side in group.joined}
    for side in map_layout.sides:
        choice = choices[side.hook.id]
        if (mechanism := choice.mechanism) is not None and side.index not in same:
            probe = program.probes[side.hook.probe]
            text = HookText(program, map_layout, probe, mechanism, spots)
            site = EmitSite(
                hook=side.hook,
                side=side.name,
                access=ACCESS[mechanism],
                arch=program.arch,
                record=side.tracepoint,
                task_offsets=offsets,
                numbers=numbers,
                notes=program.notes,
                note_elements=tuple(map(map_layout.note_element, range(len(program.notes)))),
                follows_cgroups=map_layout.follows_cgroups,
                joined=choice.joined is not None,
            )
            parts.append(_render_side(text, side, site))
    parts += [_render_outer(program, map_layout, group, spots) for group in groups]
    if map_layout.frame_bytes:
        parts.append(render_enders())
    parts.append(render_followers(map_layout, offsets, numbers))
    parts.append(render_cgroup_followers(map_layout, offsets, numbers))
    parts.insert(1, _list_open(numbers))
    return "".join(parts)


def _list_open(numbers: OpenNumbers) -> str:
    """The numbers that the text leaves open, in comments."""
    writer = CWriter()
    for slot, number in enumerate(numbers.list_numbers()):
        writer.comment(f"slot {slot}: {number.name} = {number.value}")
    return writer.text() if writer.lines else ""


def _render_side(text: HookText, side: layout.HookSide, site: EmitSite) -> str:
    try:
        return text.write_side(side, site)
    except EmitError as error:
        raise HookError(side.hook, str(error)) from None


def _render_outer(
    program: Program,
    map_layout: layout.MapLayout,
    group: ProgramGroup,
    spots: Mapping[int, int],
) -> str:
    """The program that the kernel runs: it looks up the elements and calls each side in turn; it
    returns the same number on every path."""
    writer = CWriter()
    writer.line("")
    for side in group.sides:
        probe = program.probes[side.hook.probe]
        text = HookText(program, map_layout, probe, group.mechanism, spots)
        writer.comment(text.describe_side(side))
    if group.joined:
        writer.comment(f"and {len(group.joined)} more attach points, each with its own counters")
    context = "object" if group.mechanism == "iterator" else "ctx"
    writer.line(f"int {group.function}(unsigned long long *{context})")
    with writer.block():
        if group.mechanism == "iterator":
            _copy_object(writer, group)
        writer.line("u32 none = 0;")
        writer.line(f"struct control *control = pp_map_lookup(PP_MAP({layout.CONTROL}), &none);")
        writer.line("if (!control)")
        writer.line(f"\treturn {RETURNS[group.mechanism]};")
        _leave_calls(writer, program, group)
        _find_others(writer, group)
        for side in group.sides:
            with writer.block(_test_others(side, group)):
                writer.line(f"u32 side = {COOKIE_SIDE if group.joined else side.index};")
                lookup = f"pp_map_lookup(PP_MAP({layout.LEDGER}), &side)"
                writer.line(f"struct ledger *ledger = {lookup};")
                writer.line("if (ledger)")
                objects = "object, " if group.mechanism == "iterator" else ""
                writer.line(f"\t{side.function}_work({objects}ctx, control, ledger);")
        _close_calls(writer, program.arch, group, spots)
        writer.line(f"return {RETURNS[group.mechanism]};")
    if group.witness:
        _write_witness(writer, group)
    return writer.text()


def _copy_object(writer: CWriter, group: ProgramGroup) -> None:
    """The words of an iterator's object, as numbers: the verifier would let no one add to its
    pointers before a test for null. After the last object the kernel calls once more, with
    nothing."""
    hook = group.sides[0].hook
    writer.line(f"unsigned long long ctx[{hook.arguments}];")
    writer.line("if (pp_read_kernel(ctx, sizeof ctx, object))")
    writer.line("\treturn 0;")
    writer.line(f"if (!ctx[{hook.element}])")
    writer.line("\treturn 0;")


def _leave_calls(writer: CWriter, program: Program, group: ProgramGroup) -> None:
    """Where calls begin and a probe of them is enabled."""
    hooks = [side.hook for side in group.sides if side.name == "entry"]
    if hooks:
        spot = min(hooks, key=lambda hook: hook.id)
        access, joined = ACCESS[group.mechanism], bool(group.joined)
        leave = leave_calls(access, program.arch, spot, joined=joined)
        _write_enabled(writer, group, leave)


def _find_others(writer: CWriter, group: ProgramGroup) -> None:
    """Variables that say which calls this event returns from although it is another call's."""
    for side in _others_of(group):
        writer.line(f"u32 {_name_other(side)} = {find_open_call(side)};")


def _test_others(side: layout.HookSide, group: ProgramGroup) -> str:
    """The condition on a side: an event returns from one call only. "" where there is none."""
    if side.by_other:
        return f"if ({_name_other(side)})"
    others = " || ".join(map(_name_other, _others_of(group))) if side.name == "return" else ""
    return f"if (!({others}))" if others else ""


def _others_of(group: ProgramGroup) -> list[layout.HookSide]:
    return [side for side in group.sides if side.by_other]


def _name_other(side: layout.HookSide) -> str:
    return f"returns_{side.hook.id}"


def _close_calls(writer: CWriter, arch: str, group: ProgramGroup, spots: Mapping[int, int]) -> None:
    """The same where calls return, for each attach point at which they may have begun."""
    hooks = {side.hook.id: side.hook for side in group.sides if side.name == "return"}
    for spot in sorted({spots[hook] for hook in hooks}):
        access, joined = ACCESS[group.mechanism], bool(group.joined)
        _write_enabled(writer, group, close_calls(access, arch, hooks[spot], joined=joined))


def _write_enabled(writer: CWriter, group: ProgramGroup, statement: str) -> None:
    """A statement for when a probe of the group is enabled, and does more than to count."""
    enabled: dict[int, int] = {}
    for side in group.sides:
        word, bit = divmod(side.hook.probe, 64)
        enabled[word] = enabled.get(word, 0) | 1 << bit
    tests = (f"PP_READ(control->enabled[{word}]) & {bits:#x}ULL" for word, bits in enabled.items())
    writer.line(f"if (!control->counting && ({' || '.join(tests)}))")
    writer.line("\t" + statement)


def _write_witness(writer: CWriter, group: ProgramGroup) -> None:
    """A program at the same event that counts it, also where the kernel keeps it from the other."""
    writer.line("")
    writer.comment(f"counts every {group.witness}, also those that the program above misses")
    writer.line(f"int {group.witness_function}(unsigned long long *ctx)")
    with writer.block():
        writer.line(f"u32 side = {group.sides[0].index};")
        writer.line(f"struct ledger *ledger = pp_map_lookup(PP_MAP({layout.LEDGER}), &side);")
        writer.line("if (ledger)")
        writer.line("\tCOUNT(happened);")
        writer.line("return 0;")


class HookError(EmitError):
    """A hook needs something that its mechanism cannot provide."""

    def __init__(self, hook: Hook, why: str) -> None:
        self.hook, self.why = hook, why
        super().__init__(f"{hook.label}: {why}")


def declare_elements(map_layout: layout.MapLayout) -> str:
    """The elements of the maps, in the order of layout.py."""
    writer = CWriter()
    probe_words = ", ".join(layout.PROBE_WORDS)
    writer.line("struct control {")
    writer.line(
        f"\tu64 enabled[{map_layout.enabled_words}]; /* one bit per probe; all 0: disarmed */"
    )
    writer.line(f"\tu64 {', '.join(layout.PLAN_WORDS)};")
    writer.line(f"\tstruct {{ u64 {probe_words}; }} probe[{len(map_layout.program.probes)}];")
    if map_layout.param_count:
        names = ", ".join(f"{param.slot}: {param.name}" for param in map_layout.program.params)
        writer.line(f"\tu64 param[{map_layout.param_count}]; /* {comment_text(names)} */")
    writer.line("};")
    writer.line(f"struct metric_counts {{ u64 {', '.join(layout.METRIC_WORDS)}; }};")
    writer.line("struct ledger {")
    writer.line(f"\tu64 {', '.join(layout.LEDGER_WORDS)};")
    if map_layout.metric_uses:
        writer.line(f"\tstruct metric_counts metric[{map_layout.metric_uses}];")
    writer.line("};")
    return writer.text()


def render_common(map_layout: layout.MapLayout) -> str:
    """The functions that all hooks share."""
    numbers = {
        "LINE_PAD": layout.LINE_WORDS - 1,
        "SHARED_LINES": 2 + 2 * len(map_layout.program.probes),
        "ENABLED_WORDS": map_layout.enabled_words,
    }
    return _define_numbers(_COMMON, numbers)


def _define_numbers(text: str, numbers: Mapping[str, int]) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in numbers.items()) + text


def task_offsets(facts: KernelFacts) -> dict[str, int]:
    """Offsets in bytes in the structures of _MEMBERS, by member name, and of the word with
    COMPAT_FLAGS in task_struct; what the kernel's BTF lacks is left out."""
    btf = facts.btf
    if btf is None:
        return {}
    return _find_task_offsets(btf, facts.arch)


@lru_cache(maxsize=1)  # commands that look at several kernels do so in turn
def _find_task_offsets(btf: Btf, arch: str) -> dict[str, int]:
    """Asked for several times in each program; finding them takes 5 ms."""
    offsets: dict[str, int] = {}
    for struct, names in _MEMBERS.items():
        type_id = btf.struct(struct)
        for name in names:
            member = btf.member(type_id, name) if type_id is not None else None
            if member is not None:
                offsets[name] = member.bit_offset // 8
    nested = {
        "upid_ns": _nested_offset(btf, ("upid", "ns")),
        "inum": _nested_offset(btf, ("pid_namespace", "ns"), ("ns_common", "inum")),
        "compat": _compat_offset(arch, btf),
        "cgroup_root": _nested_offset(btf, ("cgroup", "root")),
        "cgroup_hierarchy_id": _nested_offset(btf, ("cgroup_root", "hierarchy_id")),
        "cgroup_level": _nested_offset(btf, ("cgroup", "level")),
        "cgroup_kn": _nested_offset(btf, ("cgroup", "kn")),
        "cgroup_id": _nested_offset(btf, ("kernfs_node", "id")),
    }
    return {**offsets, **{name: at for name, at in nested.items() if at is not None}}


def _compat_offset(arch: str, btf: Btf) -> int | None:
    """Where in task_struct the word with COMPAT_FLAGS is."""
    if arch not in COMPAT_FLAGS:
        return 0
    return _nested_offset(
        btf, ("task_struct", "thread_info"), ("thread_info", COMPAT_FLAGS[arch].word)
    )


def _nested_offset(btf: Btf, *path: tuple[str, str]) -> int | None:
    """The offset of the last member in the first structure, each of them within the one before."""
    offset = 0
    for struct, name in path:
        type_id = btf.struct(struct)
        member = btf.member(type_id, name) if type_id is not None else None
        if member is None:
            return None
        offset += member.bit_offset // 8
    return offset


def list_functions(
    program: Program, map_layout: layout.MapLayout, choices: Mapping[int, MechanismChoice]
) -> Sequence[str]:
    """Names of all programs in the text."""
    groups = group_sides(map_layout, choices)
    names = [group.function for group in groups]
    names += [group.witness_function for group in groups if group.witness]
    names += [*ENDED, REPLACED] if map_layout.frame_bytes else []
    return [*names, *follower_functions(map_layout), *cgroup_functions(map_layout)]


__all__ = ["HookError", "list_functions", "render_source", "task_offsets"]
