"""Writes the pages of docs/ that are made of the schemas and of the table of finding codes, and
the man pages and shell completions, which are made of the commands' options, and the index of the
shipped plans with the tables of plans/README.md, which are made of the plans.

usage: scripts/generate_docs.py [--check]

`docs/log.md`, `docs/result.md` and `docs/finding-codes.md` are generated whole. In
`docs/language.md`, `docs/policy.md` and `docs/checks.md` the tables of keys are generated: they
lie between comments that name the object of the schema. Those of man/ and completions/ are written
by `scripts/man_pages.py` and `scripts/shell_completions.py`, the index by `scripts/plan_index.py`.
With `--check` nothing is written; the exit code is 1 when a page is not current.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.plan.codes import FindingCode

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))

Schema = Mapping[str, Any]

_TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
_TYPES |= {"array": "list", "object": "mapping", "null": "null"}
_KEYS = re.compile(r"(<!-- begin keys: (\S+) -->\n).*?(<!-- end keys -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """The text that each generated page has to have, by its path."""
    names = ("plan", "log", "policy", "check", "result")
    plan, log, policy, check, result = (_schema(name) for name in names)
    language, policies, checks = (DOCS / f"{name}.md" for name in ("language", "policy", "checks"))
    return {
        DOCS / "log.md": _log_page(log),
        DOCS / "result.md": _result_page(result),
        policies: _with_key_tables(policies.read_text(), policy),
        checks: _with_key_tables(checks.read_text(), check),
        DOCS / "finding-codes.md": _codes_page(),
        language: _with_key_tables(language.read_text(), plan),
        **_command_files(),
    }


def _command_files() -> dict[Path, str]:
    """What is made of the command line and of the plans; these need the package and shtab."""
    from scripts.man_pages import list_man_pages
    from scripts.plan_index import list_plan_files
    from scripts.shell_completions import list_completions

    return {**list_man_pages(), **list_completions(), **list_plan_files()}


def stale_pages() -> list[Path]:
    """The committed pages that differ from what their sources give now."""
    return [path for path, text in pages().items() if not path.exists() or path.read_text() != text]


def main(arguments: list[str]) -> int:
    stale = stale_pages()
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not current: run `make docs`")
        return 1 if stale else 0
    texts = pages()
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(texts[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def _schema(name: str) -> Schema:
    loaded: Schema = json.loads((ROOT / "schema" / f"{name}-v1.schema.json").read_text())
    return loaded


def _generated_note(source: str) -> str:
    return f"<!-- Generated from {source} by scripts/generate_docs.py: see `make docs`. -->"


# ---------------------------------------------------------------- tables of keys


def _with_key_tables(text: str, schema: Schema) -> str:
    """`text` with the table of every object that it names in `<!-- begin keys: … -->`."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n{_key_table(_object(schema, match[2]), schema)}\n\n{match[3]}"

    return _KEYS.sub(table, text)


def _object(schema: Schema, name: str) -> Schema:
    """An object of the schema: `plan`, `policy` or `check` itself, a definition, or a property of
    the top level."""
    if name in ("plan", "policy", "check"):
        return schema
    found: Schema = schema["$defs"].get(name) or schema["properties"][name]
    return found


def _key_table(owner: Schema, schema: Schema) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    required = owner.get("required", ())
    for name, key in owner["properties"].items():
        cells = (f"`{name}`", _type(key, schema), _default(name, key, required), _meaning(key))
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(rows)


def _type(key: Schema, schema: Schema) -> str:
    if "enum" in key:
        values = (value for value in key["enum"] if value != "")
        return " or ".join("null" if value is None else f"`{value}`" for value in values)
    if "const" in key:
        return f"`{key['const']}`"
    if "anyOf" in key:
        return " or ".join(_type(choice, schema) for choice in key["anyOf"])
    if "$ref" in key:
        return _reference(key["$ref"].rpartition("/")[2], schema)
    kinds = key.get("type", ())
    names = [_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    inner = _type_within(key, schema) if names in (["list"], ["mapping"]) else ""
    joint = "of" if names == ["list"] else "of names to"
    return f"{names[0]} {joint} {inner}" if inner else " or ".join(names)


def _type_within(key: Schema, schema: Schema) -> str:
    """The type of a list's items or of a mapping's values; "" where there is none."""
    inner = key.get("items", key.get("additionalProperties"))
    return _type(inner, schema) if isinstance(inner, Mapping) else ""


def _reference(name: str, schema: Schema) -> str:
    """What a definition is called in a table: a link where it has its own table."""
    kind = schema["$defs"][name]
    if name == "expression":
        return "E"
    if isinstance(kind.get("additionalProperties"), Mapping):
        return _type(kind, schema)
    if "properties" in kind or schema["title"].startswith(("probeplan log", "probeplan result")):
        return f"[{name}](#{name.replace('.', '')})"
    return name


def _default(name: str, key: Schema, required: tuple[str, ...]) -> str:
    if name in required:
        return "required"
    if "default" not in key:
        return "none"
    value = key["default"]
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def _meaning(key: Schema) -> str:
    examples = key.get("examples", ())
    shown = [_example(example) for example in examples]
    shown_examples = f" Example: {', '.join(shown)}." if shown else ""
    return f"{key.get('description', '')}{shown_examples}"


def _example(value: Any) -> str:
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# ---------------------------------------------------------------- the log

_LOG_HEAD = """\
# The log

{note}

{description}

A run writes its log to standard output, or to `--log FILE`; `--out DIR` keeps it as `events.jsonl`.
The schema is `schema/log-v1.schema.json`, and every line that a run writes is valid against it.

Every record has these fields:

{common}

All records but `event.recorded` also have these:

{lifecycle}

## Record kinds

"""


def _log_page(schema: Schema) -> str:
    kinds = schema["properties"]["event"]["enum"]
    head = _LOG_HEAD.format(
        note=_generated_note("schema/log-v1.schema.json"),
        description=schema["description"],
        common=_field_table(schema, schema),
        lifecycle=_field_table(schema["$defs"]["lifecycle"], schema),
    )
    records = [_part_section(kind, schema) for kind in kinds]
    shared = [
        _part_section(name, schema)
        for name in schema["$defs"]
        if name not in kinds and name != "lifecycle"
    ]
    return head + "\n".join(records) + "\n## Parts of records\n\n" + "\n".join(shared)


def _part_section(name: str, schema: Schema) -> str:
    part = schema["$defs"][name]
    lines = [f"### {name}", "", part.get("description", ""), ""]
    if "properties" in part:
        lines += [_field_table(part, schema), ""]
        lines += [line for key in part["properties"].values() for line in _nested(key, schema)]
    elif examples := part.get("examples"):
        lines += [f"Example: {', '.join(map(_example, examples))}.", ""]
    return "\n".join(lines)


def _field_table(owner: Schema, schema: Schema) -> str:
    rows = ["| field | type | always there | meaning |", "|---|---|---|---|"]
    required = owner.get("required", ())
    for name, key in owner["properties"].items():
        if name == "event" and "const" in key:  # as the heading says
            continue
        there = "yes" if name in required else "no"
        kind = "a record kind" if name == "event" else _type(key, schema)
        cells = (f"`{name}`", kind, there, _meaning(key))
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(rows)


def _nested(key: Schema, schema: Schema) -> Iterator[str]:
    """Tables of what a field contains that has no separate definition."""
    inner = key.get("additionalProperties")
    for part in (key, inner, key.get("items")):
        if isinstance(part, Mapping) and part.get("properties"):
            yield from (f"Within it: {key['description']}", "", _field_table(part, schema), "")


# ---------------------------------------------------------------- results

_RESULT_HEAD = """\
# Results

{note}

{description}

The schema is `schema/result-v1.schema.json`, and every `result.json` is valid against it. The
results of many hosts are added up by `probeplan merge results/` ([merging](merge.md)).

A result has these fields:

{fields}

"""


def _result_page(schema: Schema) -> str:
    head = _RESULT_HEAD.format(
        note=_generated_note("schema/result-v1.schema.json"),
        description=schema["description"],
        fields=_field_table(schema, schema),
    )
    nested = [line for key in schema["properties"].values() for line in _nested(key, schema)]
    parts = [_part_section(name, schema) for name in schema["$defs"]]
    return head + "\n".join(nested) + "\n## Parts of results\n\n" + "\n".join(parts)


# ---------------------------------------------------------------- finding codes

_CODES = """\
# Finding codes

{note}

A finding is one problem of a plan, a check, a policy or a host, reported as
`file:line:column: error[CODE]: what is wrong` with a hint. Codes are stable:
a code keeps its meaning, and a new meaning gets a new code.
`probeplan lint --explain PP022` prints what one means. All findings are reported at once.

Examples that do not begin with `apiVersion` leave out the head of the plan: `apiVersion`, `kind`
and `metadata`. `debian:6.1` is a [kernel profile](lint.md#kernel-profiles).

Errors about the plan or the check end with exit code 2, errors about this kernel or host with exit
code 3.

"""


def _codes_page() -> str:
    from orchestrator.plan.codes import GROUPS

    parts = [_CODES.format(note=_generated_note("orchestrator/plan/codes/"))]
    for title, entries in GROUPS.items():
        parts += [f"## {title}\n", *map(_code_section, entries)]
    return "\n".join(parts)


def _code_section(entry: "FindingCode") -> str:
    lines = [f"### {entry.code}", "", f"**{_sentence(entry.title)}** {entry.meaning}", ""]
    lines += [f"Cure: {entry.cure}", ""] if entry.cure else []
    lines += [f"When: {entry.arises}", ""] if entry.arises else []
    if entry.example:
        lines += [f"`{entry.command}` reports it for", "", *_block(entry.example)]
    if entry.policy:
        lines += ["with the policy", "", *_block(entry.policy)]
    return "\n".join(lines)


def _sentence(title: str) -> str:
    return f"{title[:1].upper()}{title[1:]}."


def _block(text: str) -> list[str]:
    return ["```yaml", *text.rstrip("\n").splitlines(), "```", ""]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
