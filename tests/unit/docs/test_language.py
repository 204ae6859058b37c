"""docs/language.md is complete, and says what schema and tables say."""

import json
import re

import pytest

from orchestrator.backends import backend
from orchestrator.check.document.load import inspect_check, is_check
from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.constants import GROUPS
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan import figures as plan_figures
from orchestrator.plan.attach_kinds import ATTACH_KINDS, KINDS
from orchestrator.plan.expression import names
from orchestrator.plan.load import check_document, check_plan, load_plan, read_document
from orchestrator.policy.parse import parse_policy
from tests.support.paths import KERNELS, ROOT
from tests.unit.docs.pages import DOCS, HEAD, PAGES, Block, blocks, rows, section, whole_plan

LANGUAGE = (DOCS / "language.md").read_text()
SCHEMA = json.loads((ROOT / "schema" / "plan-v1.schema.json").read_text())
OBJECTS = {
    "plan": SCHEMA,
    **{name: SCHEMA["properties"][name] for name in ("metadata", "limits", "target")},
    **{name: kind for name, kind in SCHEMA["$defs"].items() if "properties" in kind},
}
FUNCTION_ROWS = {row[0].strip("`"): row for row in rows(section(LANGUAGE, "### Functions"))}


@pytest.mark.parametrize("name", OBJECTS)
def test_every_key_of_the_schema_is_in_its_table(name: str) -> None:
    table = LANGUAGE.partition(f"<!-- begin keys: {name} -->")[2].partition("<!-- end keys -->")[0]
    assert [row[0].strip("`") for row in rows(table)] == list(OBJECTS[name]["properties"])


def test_rules_are_numbered_from_1_to_12_and_the_code_cites_no_other() -> None:
    numbers = [int(number) for number in re.findall(r"^### Rule (\d+):", LANGUAGE, re.MULTILINE)]
    assert numbers == list(range(1, 13))
    sources = "".join(path.read_text() for path in (ROOT / "orchestrator").rglob("*.py"))
    cited = {int(number) for number in re.findall(r"language, rule (\d+)", sources)}
    assert cited <= set(numbers)


def test_every_attach_kind_is_described_as_its_table_has_it() -> None:
    kinds = section(LANGUAGE, "## Attach kinds").partition("### ")[0]
    table = {row[0].strip("`"): row for row in rows(kinds)}
    assert list(table) == list(ATTACH_KINDS)
    for kind, row in table.items():
        traits = KINDS[kind]  # type: ignore[index]  # as just asserted
        assert row[1] == traits.form
        assert row[4] == ("yes" if traits.has_return else "no"), kind
        assert row[5] == ("yes" if traits.is_paired else "no"), kind


def test_every_builtin_is_described() -> None:
    named = " ".join(row[0] for row in rows(section(LANGUAGE, "### Builtins")))
    described = set(re.findall(r"`(\w+)`", named))
    assert described - {"arg0", "arg9"} == set(names.BUILTINS)


def test_every_group_of_constants_is_named() -> None:
    rule = section(LANGUAGE, "### Rule 6: Names")
    assert {*GROUPS, "SYS_"} == set(re.findall(r"`([A-Z]+_?)`", rule)) & {*GROUPS, "SYS_"}


def test_every_unit_is_named() -> None:
    assert all(f"`{unit}`" in section(LANGUAGE, "## Expressions") for unit in names.UNITS)


def test_every_function_is_described_with_its_arity() -> None:
    described = {name: _arity(row[1]) for name, row in FUNCTION_ROWS.items()}
    assert described == dict(names.FUNCTIONS)


def _arity(text: str) -> tuple[int, int | None]:
    """Of `(p) or (p, n)`: 1 to 2; of `() or (n)`: 0 to 1; of `(E, E, …)`: 2 and more."""
    forms = [form.split(", ") if form else [] for form in re.findall(r"\(([^)]*)\)", text)]
    if any("…" in form for form in forms):
        return len(forms[0]) - 1, None
    return min(map(len, forms)), max(map(len, forms))


def test_every_type_that_load_reads_is_named() -> None:
    integers = {f"{sign}{bits}" for sign in "us" for bits in (8, 16, 32, 64)}
    assert "u8 … u64, s8 … s64, bool, pointer" in FUNCTION_ROWS["load"][3]
    assert set(names.BARE_TYPES) == {*integers, "bool", "pointer"}


@pytest.mark.parametrize("name", sorted(set(FUNCTION_ROWS) - {"seen"}))
def test_the_example_of_a_function_is_clean(name: str) -> None:
    example = FUNCTION_ROWS[name][4].strip("`")
    assert example.startswith(f"{name}(") or f"{name}(" in example
    assert not check_plan(_plan_of(example).encode())[1]


def _plan_of(example: str) -> str:
    """A plan that emits the example, with the note that those of notes name."""
    emit = json.dumps(example)
    plan = f'{HEAD}probes:\n  one: {{attach: "function:vfs_read", emit: {{x: {emit}}}}}\n'
    return plan + ("notes: {call: {set: one, key: [tid]}}\n" if "noted" in example else "")


@pytest.fixture(scope="module")
def kernel() -> KernelFacts:
    return load_facts(KERNELS / "6.1.facts.xz")


@pytest.mark.parametrize("name", sorted(set(FUNCTION_ROWS) - {"seen"}))
def test_the_example_of_a_function_compiles_and_runs_by_tracefs_where_the_page_says_so(
    name: str, kernel: KernelFacts
) -> None:
    row = FUNCTION_ROWS[name]
    program = compile_plan(load_plan(_plan_of(row[4].strip("`")).encode()), kernel)
    refused = backend("tracefs").unsupported(program, kernel, user_space=True)
    if row[5] in ("yes", "no"):
        assert bool(refused) == (row[5] == "no"), refused


KIND_EXAMPLES: dict[str, str] = {kind: f"{kind}:{KINDS[kind].example}" for kind in ATTACH_KINDS}


@pytest.mark.parametrize("kind", sorted(set(ATTACH_KINDS) - {"usdt"}))  # it needs the binary here
def test_tracefs_attaches_a_kind_where_the_page_says_so(kind: str, kernel: KernelFacts) -> None:
    table = {row[0].strip("`"): row for row in rows(section(LANGUAGE, "## Attach kinds"))}
    plan = f"{HEAD}probes:\n  one: {{attach: {json.dumps(KIND_EXAMPLES[kind])}, emit: {{}}}}\n"
    program = compile_plan(load_plan(plan.encode()), kernel)
    refused = backend("tracefs").unsupported(program, kernel, user_space=True)
    assert bool(refused) == (table[kind][6] == "no"), refused


def test_every_function_and_number_of_figures_is_described() -> None:
    figures = section(LANGUAGE, "### Figures")
    assert all(f"`{name}(" in figures for name in plan_figures.FIGURE_FUNCTIONS)
    numbers = {name for kind in plan_figures.CELL_NUMBERS.values() for name in kind} - {"value"}
    assert all(f"`{name}`" in figures for name in numbers)


def _yaml_blocks() -> list[Block]:
    """Those that are mappings: lists are Ansible's plays and tasks (tests/ansible)."""
    pages = [page for page in PAGES if page.name != "finding-codes.md"]  # examples of mistakes
    found = [block for page in pages for block in blocks(page, "yaml")]
    return [block for block in found if not block.text.startswith("- ")]


@pytest.mark.parametrize("block", _yaml_blocks(), ids=str)
def test_every_example_lints_clean(block: Block) -> None:
    document, findings = read_document(whole_plan(block.text).encode())
    assert document is not None
    if document.data.get("kind") == "Policy":
        assert parse_policy(block.text.encode(), str(block))[1] == []
        return
    inspect = inspect_check if is_check(document) else check_document
    _, findings = inspect(document, findings)
    assert not findings, "\n".join(map(str, findings))


#: Values for the params of examples that have no default.
SETTINGS = {"pid": "1", "function": "function:vfs_read"}


@pytest.mark.parametrize("block", blocks(DOCS / "language.md", "yaml"), ids=str)
def test_every_example_of_the_language_compiles_on_a_kernel(
    block: Block, kernel: KernelFacts
) -> None:
    text = whole_plan(block.text).encode()
    plan, _ = check_plan(text)
    assert plan is not None
    unset = [name for name, param in plan.params.items() if param.value is None]
    program = compile_plan(
        load_plan(text, settings={name: SETTINGS[name] for name in unset}), kernel
    )
    assert program.probes
