"""Cgroups that match a pattern of the target: one program for any number of them."""

import re
from dataclasses import replace

import pytest

from orchestrator.backends import backend
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.emit.following.cgroups import is_matching
from orchestrator.compile.program import Program, ResolvedLeftOut, ResolvedTarget
from tests.support.bcc_maps import recorded_program
from tests.support.recorded import recorded

EXECS = "probes: {p: {attach: 'tracepoint:sched:sched_process_exec', emit: {}}}\n"
PATTERN = "/system.slice/docker-*"


def with_target(**keys: object) -> Program:
    return replace(recorded_program(EXECS), target=ResolvedTarget(**keys))


def text_of(program: Program, kernel: str = "6.1") -> str:
    return backend("bcc").emit(program, recorded(kernel)).text


def test_a_text_does_not_depend_on_how_many_cgroups_match() -> None:
    """None, one or a hundred; one that the plan names by its path has its number."""
    hundred = tuple((f"/system.slice/docker-{number}", number + 1) for number in range(100))
    found: tuple[tuple[tuple[str, int | None], ...], ...]
    found = (((PATTERN, None),), hundred[:1], hundred)
    texts = {
        re.sub(r"/\*.*?\*/", "", text_of(with_target(cgroup=cgroups, patterns=(PATTERN,))))
        for cgroups in found
    }
    [text] = texts
    assert is_matching(PATTERN, "target") in text
    named = with_target(cgroup=(("/a/b/c", 7), *hundred), patterns=(PATTERN,))
    assert f"target.cgroup /a/b/c = {7}" in text_of(named)


def test_a_new_cgroup_is_compared_by_level_and_path() -> None:
    """The condition of the program at cgroup_mkdir, evaluated on what the kernel would give."""
    others = ResolvedLeftOut(cgroup=(("/é*", None),), patterns=("/é*",))
    program = with_target(cgroup=((PATTERN, None),), patterns=(PATTERN,), left_out=others)
    text = text_of(program)
    conditions = {
        int(bits): condition
        for condition, bits in re.findall(r"if \((level == .*)\)\n\t\tbits \|= (\d);", text)
    }
    words = int(re.search(r"#define PATH_WORDS (\d+)", text)[1])

    def bits_of(path: str) -> int:
        raw = path.encode().ljust(8 * words, b"\0")
        values = {
            "path": [int.from_bytes(raw[at : at + 8], "little") for at in range(0, 8 * words, 8)],
            "level": path.count("/"),
        }
        held = 0
        for bit, condition in conditions.items():
            python = condition.replace("ULL", "").replace("&&", "and")
            held |= bit if eval(python, values) else 0  # noqa: S307  # our own condition
        return held

    target, left_out = layout.CGROUP_BITS["target"], layout.CGROUP_BITS["left_out"]
    assert bits_of("/system.slice/docker-1.scope") == target
    assert bits_of("/system.slice/docker-") == target
    assert bits_of("/system.slice/docker") == bits_of("/system.slice/docker-1/inner") == 0
    assert bits_of("/é-1") == left_out
    assert bits_of("/e-1") == bits_of("/é-1/x") == 0


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12", "7.x"])
def test_all_recorded_kernels_show_new_cgroups(kernel: str) -> None:
    text = text_of(with_target(cgroup=((PATTERN, None),), patterns=(PATTERN,)), kernel)
    assert "int follow_cgroup(" in text
    assert "int forget_cgroup(" in text


def test_a_path_that_a_program_has_no_room_for_is_not_followed() -> None:
    """Then what there is at the start is named by its numbers, and there has to be some."""
    pattern = f"/{'x' * layout.LONGEST_PATTERN}*"
    text = text_of(with_target(cgroup=((f"{pattern[:-1]}1", 5),), patterns=(pattern,)))
    assert "follow_cgroup" not in text
    assert "pp_ancestor_cgroup_id(1) == " in text
    none = with_target(cgroup=((pattern, None),), patterns=(pattern,))
    findings = backend("bcc").unsupported(none, recorded("6.1"), user_space=True)
    assert any("no cgroup matches" in finding.message for finding in findings)
