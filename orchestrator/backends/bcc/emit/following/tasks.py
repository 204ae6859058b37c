"""Which task numbers are the target's: the programs that keep them while tasks fork, exec and end.

A number alone does not identify a task. A thread that is not the leader of its process and executes
a program takes the leader's number and gives up its own (fs/exec.c, de_thread), and the number of
a task that has ended is given to another one. So the numbers of the target are kept in a map, with
what each of them is there for (layout.NUMBER_BITS).
"""

from collections.abc import Iterable, Mapping

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.function_names import EXEC, EXIT, FORK
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.site import TASK_MEMBERS
from orchestrator.backends.bcc.emit.target import compare_ids

__all__ = ["follower_functions", "render_followers", "render_numbers"]

_NUMBERS = """
PP_INLINE u8 number_bits(u32 number)
{
	u8 *bits = pp_map_lookup(PP_MAP(TASKS), &number);
	return bits ? *bits : 0;
}
"""

_FOLLOW = """
PP_INLINE s64 set_number_bits(u32 number, u8 bits)
{
	if (!bits)
		return pp_map_delete(PP_MAP(TASKS), &number);
	return pp_map_update(PP_MAP(TASKS), &number, &bits, PP_ANY);
}

/* A child of a followed thread is followed too; a new thread is a child here. A child of another
 * task has nothing of the one that had its number before. */
int follow_fork(unsigned long long *ctx)
{
	u32 parent = 0, child = 0, side = LOST_SIDE;
	if (pp_read(0, &parent, 4, PID_OF(ctx[0])) || pp_read(0, &child, 4, PID_OF(ctx[1])))
		return 0;
	u8 before = number_bits(child);
	u8 bits = number_bits(parent) & (BIT_FOLLOWED | BIT_LEFT_OUT);
	if (before & BIT_AWAITED)
		bits |= before & ~BIT_AWAITED;
	if (bits != before && set_number_bits(child, bits) && bits) {
		struct ledger *ledger = pp_map_lookup(PP_MAP(LEDGER), &side);
		if (ledger)
			COUNT(map_full);
	}
	return 0;
}

/* A thread that takes the number of its process's leader is what it was, under the new number, and
 * the process is what it was. The old number may be another task's by now. */
int follow_exec(unsigned long long *ctx)
{
	u32 number = 0, old = (u32)ctx[1];
	if (pp_read(0, &number, 4, PID_OF(ctx[0])) || number == old)
		return 0;
	u8 bits = number_bits(old) | (number_bits(number) & ~BIT_THREAD);
	set_number_bits(number, bits);
	set_number_bits(old, 0);
	return 0;
}

/* The number of a leader is taken until the last thread of its process has ended: one that executes
 * a program takes it over. */
int follow_exit(unsigned long long *ctx)
{
	u32 number = 0, process = 0;
	s32 living = 0;
	u64 together = 0;
	if (pp_read(0, &number, 4, PID_OF(ctx[0])) || pp_read(0, &process, 4, TGID_OF(ctx[0])))
		return 0;
	if (!pp_read(0, &together, 8, SIGNAL_OF(ctx[0])))
		pp_read(0, &living, 4, LIVE_OF(together));
	if (number != process || living == 0)
		set_number_bits(number, 0);
	if (living == 0)
		set_number_bits(process, 0);
	return 0;
}
"""


def follower_functions(map_layout: layout.MapLayout) -> tuple[str, ...]:
    """The names of the programs that this layout needs."""
    return (FORK, EXEC, EXIT) if map_layout.follows_numbers else ()


def render_numbers(map_layout: layout.MapLayout, numbers: OpenNumbers) -> str:
    """The functions that test whether a task's number is the target's."""
    target, follows = map_layout.program.target, map_layout.follows_numbers
    parts = []
    if follows:
        bits = {f"BIT_{name.upper()}": bit for name, bit in layout.NUMBER_BITS.items()}
        parts = [_define({"TASKS": layout.TASKS} | bits), _NUMBERS]
    if target.pid:
        kept = "number_bits(pid) & BIT_PROCESS" if follows else ""
        test = _any_of(compare_ids("pid", "pid", target.pid, numbers))
        parts.append(_render_test("is_target_process(u32 pid)", test, kept))
    if target.tid:
        test = "" if follows else _any_of(compare_ids("tid", "tid", target.tid, numbers))
        kept = "number_bits(tid) & BIT_THREAD" if follows else ""
        parts.append(_render_test("is_target_thread(u32 tid)", test, kept))
    if target.children:
        parts.append(_render_test("is_followed(u32 tid)", "", "number_bits(tid) & BIT_FOLLOWED"))
    if target.left_out.children:
        parts.append(_render_test("is_left_out(u32 tid)", "", "number_bits(tid) & BIT_LEFT_OUT"))
    return "".join(parts)


def _any_of(tests: Iterable[str]) -> str:
    return f"({' || '.join(tests)})"


def _render_test(head: str, listed: str, kept: str) -> str:
    """A test of a number: cheap comparisons first, which most tasks do not pass."""
    test = " && ".join(part for part in (listed, kept and f"({kept}) != 0") if part)
    return f"\nPP_INLINE int {head}\n{{\n\treturn {test};\n}}\n"


def render_followers(
    map_layout: layout.MapLayout, offsets: Mapping[str, int], numbers: OpenNumbers
) -> str:
    """The programs on sched_process_fork, sched_process_exec and sched_process_exit; "" where
    nothing is followed."""
    if not map_layout.follows_numbers:
        return ""
    members: dict[str, int | str] = {
        name.upper() + "_OF(base)": numbers.member("base", TASK_MEMBERS[name], offsets[name])
        for name in ("pid", "tgid", "signal", "live")
    }
    fixed = {"LEDGER": layout.LEDGER, "LOST_SIDE": map_layout.children_element}
    return _define(members | fixed) + _FOLLOW


def _define(numbers: Mapping[str, int | str]) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in numbers.items())
