"""Structures and returns of a program by its debug information, as plans name them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.compile.expressions.nodes import Address, Builtin, Load, Node
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from tests.support.binaries import compile_to
from tests.support.described import build
from tests.support.paths import WORKLOADS
from tests.support.recorded import HEAD

Compile = Callable[..., Program]

SOURCE = """
enum colour { RED = -1, GREEN = 2 };
struct name { char text[8]; };
struct item { int value; unsigned low : 3, high : 5; struct name names[2]; struct item *next; };
typedef struct { unsigned short port; } peer_t;
struct item *take(void *cookie, long at) { return (struct item *)cookie + at; }
enum colour tint(peer_t *peer) { return peer->port ? GREEN : RED; }
_Bool truth(struct item *item) { return item->high; }
const char *text(void *cookie) { return ((struct item *)cookie)->names[0].text; }
unsigned char small(void) { return 200; }
double half(void) { return 0.5; }
void nothing(void) { }
int main(void) { return 0; }
"""


@pytest.fixture
def compiled(facts: KernelFacts) -> Compile:
    """Compiles a plan's text (its head is added) against 6.1; it requires `release`."""

    def compile_text(text: str, release: str = "1.1") -> Program:
        head = HEAD.replace("summary: t}", f'summary: t, requires: "{release}"}}')
        return compile_plan(load_plan((head + text).encode()), facts)

    return compile_text


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program of SOURCE."""
    return build(tmp_path, source=SOURCE)


def emitted(program: Program) -> dict[str, Node]:
    """The fields of the only probe."""
    [probe] = program.probes
    assert probe.emit is not None
    return dict(zip((f.name for f in probe.emit.fields), probe.hooks[0].body.emit, strict=True))


def where(node: Node) -> tuple[int, str, int, int]:
    """Where a read reads: offset from the pointer, type, and which bits."""
    assert isinstance(node, Load)
    start, base = node.offset, node.base
    while isinstance(base, Address):
        start, base = start + base.offset, base.base
    return start, str(node.type), node.bit_offset, node.bit_size


def test_structures_of_the_program_are_named_in_a_cast(compiled: Compile, program: Path) -> None:
    """Offsets, sizes, signs, bit-fields, elements, structures in it, and what it leads to."""
    made = compiled(f"""
probes:
  p:
    attach: "uprobe:{program}:take"
    let: {{item: 'cast(arg0, "item")'}}
    emit:
      value: item.value
      low: item.low
      high: item.high
      second: item.names[1].text
      after: item.next.value
      port: cast(args.cookie, "peer_t").port
      third: 'cast(arg0, "item")[2].value'
      deep: 'cast(arg0, "item *")[0].low'
""")
    fields = emitted(made)
    assert {name: where(node) for name, node in fields.items()} == {
        "value": (0, "s32", 0, 0), "low": (4, "u32", 0, 3), "high": (4, "u32", 3, 5),
        "second": (13, "string[8]", 0, 0), "after": (0, "s32", 0, 0), "port": (0, "u16", 0, 0),
        "third": (64, "s32", 0, 0), "deep": (4, "u32", 0, 3),
    }  # fmt: skip


def test_args_and_returns_name_structures_of_the_program(compiled: Compile, program: Path) -> None:
    made = compiled(f"""
probes:
  p:
    attach: {{to: "ufunction:{program}:take", args: {{c: "item *"}}, returns: "peer_t *"}}
    emit: {{value: entry(args.c.value), port: retval.port}}
""")
    assert [str(node.type) for node in emitted(made).values()] == ["s32", "u16"]


def test_a_structure_of_the_plan_goes_before_the_programs(compiled: Compile, program: Path) -> None:
    made = compiled(f"""
types: {{item: {{value: u64 at 0x80}}}}
probes: {{p: {{attach: "uprobe:{program}:take", emit: {{v: 'cast(arg0, "item").value'}}}}}}
""")
    assert where(emitted(made)["v"]) == (0x80, "u64", 0, 0)


FIRST = """
struct other { long first; };
struct hidden;
long first(struct other *o, struct hidden *h) { return o->first + (h != 0); }
"""
SECOND = """
struct other { char first; long second; };
struct hidden { int pad, inside; };
long second(struct other *o, struct hidden *h) { return o->second + h->inside; }
"""
THIRD = """
struct other;
long third(struct other *o, void *cookie) { return o == cookie; }
int main(void) { return 0; }
"""


def build_three(folder: Path) -> Path:
    """A program of three sources, of which two mean different structures by one name."""
    sources = [folder / f"{name}.c" for name in ("first", "second", "third")]
    for source, text in zip(sources, (FIRST, SECOND, THIRD), strict=True):
        source.write_text(text)
    return compile_to(folder / "three", *sources, flags=("-g",))


def read(compiled: Compile, program: Path, function: str, value: str) -> tuple[int, str, int, int]:
    """How an expression is read at a function."""
    probe = f"probes: {{p: {{attach: 'uprobe:{program}:{function}', emit: {{v: '{value}'}}}}}}"
    return where(emitted(compiled(probe))["v"])


def test_a_name_means_what_the_source_of_the_function_means(
    compiled: Compile, tmp_path: Path
) -> None:
    """What that only declares is described by another source."""
    program = build_three(tmp_path)
    other = 'cast(arg0, "other").first'.replace("'", '"')
    assert read(compiled, program, "first", other) == (0, "s64", 0, 0)
    assert read(compiled, program, "second", other) == (0, "s8", 0, 0)
    assert read(compiled, program, "first", "args.h.inside") == (4, "s32", 0, 0)
    assert read(compiled, program, "third", 'cast(arg1, "hidden").inside') == (4, "s32", 0, 0)


@pytest.mark.parametrize("value", ['cast(arg1, "other").first', "args.o.first"])
def test_two_structures_of_one_name_are_a_finding_where_neither_is_nearer(
    compiled: Compile, tmp_path: Path, value: str
) -> None:
    program = build_three(tmp_path)
    with pytest.raises(HostError) as refused:
        read(compiled, program, "third", value)
    [finding] = refused.value.findings
    assert (finding.code, finding.message) == (
        "PP082",
        f"{program} has different structures 'other': one of 8 bytes in first.c and one of 16 "
        "bytes in second.c",
    )
    assert finding.hint.startswith("declare the one that is meant under `types`")


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ('cast(arg0, "itme").value', "no type 'itme'", "has none, either: declare it under"),
        ('cast(arg0, "struct item").value', "no type 'struct item'", "write 'item', without"),
        ('cast(arg0, "item").valu', "struct item has no member 'valu'", "did you mean 'value'"),
    ],
)
def test_what_the_program_lacks_is_a_finding(
    compiled: Compile, program: Path, value: str, message: str, hint: str
) -> None:
    with pytest.raises(HostError) as refused:
        read(compiled, program, "take", value)
    [finding] = refused.value.findings
    assert message in finding.message
    assert hint in finding.hint
    assert finding.position.line > 0


def test_a_program_without_debug_information_gets_the_way_to_it(
    compiled: Compile, tmp_path: Path
) -> None:
    source = tmp_path / "source.c"
    source.write_text(SOURCE)
    program = compile_to(tmp_path / "bare", source)
    with pytest.raises(HostError) as refused:
        read(compiled, program, "take", 'cast(arg0, "item").value')
    [finding] = refused.value.findings
    assert finding.hint.startswith(f"install the debug package of {program}, and pyelftools")


def result(compiled: Compile, program: Path, function: str, rest: str = "v: retval") -> Node:
    """What is emitted of a function's return."""
    made = compiled(
        f"probes: {{p: {{attach: 'uretprobe:{program}:{function}', emit: {{{rest}}}}}}}"
    )
    return emitted(made)["v"]


def test_retval_has_the_type_of_the_source(compiled: Compile, program: Path) -> None:
    names = ("take", "tint", "truth", "text", "small", "main")
    assert {name: str(result(compiled, program, name).type) for name in names} == {
        "take": "u64", "tint": "s32", "truth": "bool", "text": "u64", "small": "u8", "main": "s32",
    }  # fmt: skip
    assert where(result(compiled, program, "take", "v: retval.next.value")) == (0, "s32", 0, 0)
    assert str(result(compiled, program, "text", "v: str(retval)").type) == "string[128]"


@pytest.mark.parametrize("function", ["tint", "truth", "nothing", "half"])
def test_plans_of_an_older_release_keep_what_retval_was(
    compiled: Compile, program: Path, function: str
) -> None:
    """A u64 on all hosts, with and without debug information."""
    probe = f"{{attach: 'uretprobe:{program}:{function}', emit: {{v: retval}}}}"
    assert str(emitted(compiled(f"probes: {{p: {probe}}}", "1.0"))["v"].type) == "u64"


def test_an_enum_that_is_returned_has_its_names(compiled: Compile, program: Path) -> None:
    made = compiled(
        f"probes: {{p: {{attach: 'uretprobe:{program}:tint', emit: {{v: label(retval)}}}}}}"
    )
    [probe] = made.probes
    assert probe.emit is not None
    shown = probe.emit.fields[0].presentation
    assert shown is not None
    assert shown.names == {-1: "RED", 2: "GREEN"}


@pytest.mark.parametrize(
    ("function", "what"), [("nothing", "nothing"), ("half", "a number with a fraction")]
)
def test_what_no_register_for_numbers_holds_is_no_retval(
    compiled: Compile, program: Path, function: str, what: str
) -> None:
    """The plan's own word goes before that."""
    with pytest.raises(PlanError) as refused:
        result(compiled, program, function)
    [finding] = refused.value.findings
    assert (finding.code, finding.message) == (
        "PP088",
        f"there is no return value at {function}: by its debug information it returns {what}",
    )
    probe = f"probes: {{p: {{attach: 'uretprobe:{program}:{function}', returns: u64"
    kept = emitted(compiled(f"{probe}, emit: {{v: retval}}}}}}"))["v"]
    assert isinstance(kept, Builtin)
    assert compiled(f"probes: {{p: {{attach: 'uretprobe:{program}:{function}', emit: [comm]}}}}")


def test_a_usdt_probe_and_a_place_in_a_function_know_their_programs_structures(
    compiled: Compile, tmp_path: Path
) -> None:
    program = compile_to(tmp_path / "sells", WORKLOADS / "structures.c", flags=("-g",))
    probes = {
        f"attach: 'usdt:{program}:shop:sold'": 'cast(arg0, "item").second',
        f"attach: {{to: 'usdt:{program}:shop:sold', args: {{p: item *}}}}": "args.p.next.second",
        f"attach: {{to: 'uprobe:{program}:take+0', args: {{p: bag *}}}}": "args.p.inner.second",
    }
    places = []
    for attach, value in probes.items():
        made = compiled(f"probes: {{p: {{{attach}, emit: {{v: '{value}'}}}}}}")
        places.append(where(emitted(made)["v"]))
    assert places == [(4, "s32", 0, 0), (4, "s32", 0, 0), (12, "s32", 0, 0)]
