"""Which cgroups match the target's patterns: a map, and the programs that keep it while cgroups
come and go.

The kernel calls cgroup_mkdir when a cgroup is made and no task can enter it yet, and cgroup_release
when the last task has left it for good (cgroup_mkdir and css_release_work_fn in
kernel/cgroup/cgroup.c). So no event in a new one is missed. Numbers are not used again.
"""

import os
from collections.abc import Iterator, Mapping

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.function_names import MADE, RELEASED
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.site import TASK_MEMBERS
from orchestrator.backends.bcc.emit.strings import words_of
from orchestrator.kernel.abi.cgroups import split_pattern

__all__ = ["cgroup_functions", "is_matching", "render_cgroup_followers", "render_cgroup_test"]

_TEST = """
PP_INLINE u64 cgroup_bits(u64 number)
{
	u64 *bits = pp_map_lookup(PP_MAP(CGROUPS), &number);
	return bits ? *bits : 0;
}
"""

#: `root` 0 is cgroup v2 (cgroup_init_root_id: the default hierarchy is the first).
_FOLLOW = """
PP_INLINE u64 cgroup_number(u64 cgroup)
{
	u64 at = 0, number = 0;
	s32 hierarchy = 0;
	if (pp_read(0, &at, 8, ROOT_OF(cgroup)) || pp_read(0, &hierarchy, 4, HIERARCHY_ID_OF(at)))
		return 0;
	if (hierarchy || pp_read(0, &at, 8, KN_OF(cgroup)) || pp_read(0, &number, 8, ID_OF(at)))
		return 0;
	return number;
}

int MADE_FUNCTION(unsigned long long *ctx)
{
	u64 number = cgroup_number(ctx[0]), bits = 0, path[PATH_WORDS] = {};
	s32 level = 0;
	if (!number || pp_read(0, &level, 4, LEVEL_OF(ctx[0])) || pp_read(0, path, sizeof path, ctx[1]))
		return 0;
MATCHES
	if (bits && pp_map_update(PP_MAP(CGROUPS), &number, &bits, PP_ANY)) {
		number = LOST_CGROUPS;
		u64 *lost = pp_map_lookup(PP_MAP(CGROUPS), &number);
		if (lost)
			PP_ADD(lost, 1);
	}
	return 0;
}

int RELEASED_FUNCTION(unsigned long long *ctx)
{
	u64 number = cgroup_number(ctx[0]);
	if (number)
		pp_map_delete(PP_MAP(CGROUPS), &number);
	return 0;
}
"""
_MEMBERS = ("root", "hierarchy_id", "level", "kn", "id")


def cgroup_functions(map_layout: layout.MapLayout) -> tuple[str, ...]:
    """The names of the programs that this layout needs."""
    return (MADE, RELEASED) if map_layout.follows_cgroups else ()


def is_matching(pattern: str, role: str) -> str:
    """A C condition: the running task is in a cgroup, or below one, that matches `pattern`, which
    the target's keys in this role (of layout.CGROUP_BITS) name."""
    level, _ = split_pattern(pattern)
    return f"(cgroup_bits(pp_ancestor_cgroup_id({level})) & {layout.CGROUP_BITS[role]})"


def render_cgroup_test(map_layout: layout.MapLayout) -> str:
    """The function that `is_matching` calls; "" where nothing is followed."""
    if not map_layout.follows_cgroups:
        return ""
    return f"#define CGROUPS {layout.CGROUPS}\n{_TEST}"


def render_cgroup_followers(
    map_layout: layout.MapLayout, offsets: Mapping[str, int], numbers: OpenNumbers
) -> str:
    """The programs on cgroup_mkdir and cgroup_release; "" where nothing is followed."""
    if not map_layout.follows_cgroups:
        return ""
    patterns = [(*split_pattern(one), role) for role, one in map_layout.cgroup_patterns]
    longest = max(len(os.fsencode(prefix)) for _, prefix, _ in patterns)
    defines = {
        f"{name.upper()}_OF(base)": numbers.member(
            "base", TASK_MEMBERS[f"cgroup_{name}"], offsets[f"cgroup_{name}"]
        )
        for name in _MEMBERS
    }
    defines |= {
        "PATH_WORDS": str(-(-longest // layout.WORD)),
        "LOST_CGROUPS": f"{layout.LOST_CGROUPS:#x}ULL",
    }
    lines = "".join(f"#define {name} {value}\n" for name, value in defines.items())
    matches = "\n".join(_render_match(*pattern) for pattern in patterns)
    text = _FOLLOW.replace("MADE_FUNCTION", MADE).replace("RELEASED_FUNCTION", RELEASED)
    return lines + text.replace("MATCHES", matches)


def _render_match(level: int, prefix: str, role: str) -> str:
    test = " && ".join([f"level == {level}", *_compare_words(os.fsencode(prefix))])
    return f"\tif ({test})\n\t\tbits |= {layout.CGROUP_BITS[role]};"


def _compare_words(prefix: bytes) -> Iterator[str]:
    """C conditions: `path` begins so."""
    for at, (word, mask) in enumerate(words_of(prefix)):
        yield f"(path[{at}] & {mask:#x}ULL) == {word:#x}ULL"
