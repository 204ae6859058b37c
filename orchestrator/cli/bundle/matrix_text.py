"""The matrix of plans and kernels, for people, programs and pull requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from orchestrator.cli.bundle.moments import format_moment
from orchestrator.output.terminal.human_units import format_amount
from orchestrator.plan.printable import make_printable

if TYPE_CHECKING:
    from orchestrator.bundle.build import Blueprint
    from orchestrator.bundle.matrix import PlannedRow
    from orchestrator.bundle.model import Bundle, MatrixRow, Settings

__all__ = ["FORMATS", "describe_bundle"]

_VARIANTS = {
    ("as recorded", "none"): "without trampolines",
    ("none", "as recorded"): "without fetching atomics",
    ("none", "none"): "without both",
    ("added", "as recorded"): "with fetching atomics",
    ("added", "none"): "with fetching atomics, without trampolines",
}


def describe_bundle(bundle: Bundle, size: int) -> str:
    """What is in a bundle of `size` bytes, in one line."""
    kernels: dict[str, list[str]] = {}
    for row in bundle.matrix:
        if not row.is_recorded:
            continue
        names = kernels.setdefault(row.backend or "nothing", [])
        if row.kernel not in names:
            names.append(row.kernel)
    served = "; ".join(f"{backend} on {', '.join(names)}" for backend, names in kernels.items())
    programs = len(bundle.programs)
    expires = "" if bundle.expires is None else f"; expires {format_moment(bundle.expires)}"
    return f"{programs} program{'s' * (programs != 1)}, {size:,} bytes: {served}{expires}"


# ---------------------------------------------------------------- text


def _format_text(blueprints: Sequence[Blueprint]) -> str:
    """Each plan's rows, then an overview."""
    lines = [line for blueprint in blueprints for line in (*_list_plan(blueprint), "")]
    return "\n".join(map(make_printable, [*lines, *_draw_overview(blueprints)]))


def _list_plan(blueprint: Blueprint) -> Iterator[str]:
    for settings in blueprint.bundle.settings:
        yield f"plan {_name_row(blueprint.bundle, settings)}"
        rows = [planned for planned in blueprint.planned if planned.row.settings == settings]
        for kernels, variants in _group_kernels(rows):
            yield f"  {', '.join(kernels)}: {_describe_outcome(variants[0].row)}"
            yield from (f"    {line}" for line in _list_details(variants))


def _group_kernels(
    rows: Iterable[PlannedRow],
) -> Iterator[tuple[list[str], list[PlannedRow]]]:
    """Kernels on which the plan comes to the same, with the rows of the first."""
    by_kernel: dict[str, list[PlannedRow]] = {}
    for planned in rows:
        by_kernel.setdefault(planned.row.kernel, []).append(planned)
    groups: list[tuple[list[str], list[PlannedRow]]] = []
    for kernel, variants in by_kernel.items():
        same = next((group for group in groups if _are_same(group[1], variants)), None)
        if same is not None:
            same[0].append(kernel)
        else:
            groups.append(([kernel], variants))
    yield from groups


def _are_same(rows: Sequence[PlannedRow], others: Sequence[PlannedRow]) -> bool:
    return list(map(_without_kernel, rows)) == list(map(_without_kernel, others))


def _without_kernel(planned: PlannedRow) -> tuple[MatrixRow, Mapping[str, str]]:
    row = replace(planned.row, kernel="", release="", build_id=None, trimmed=False)
    return row, planned.rejected


def _describe_outcome(row: MatrixRow) -> str:
    if row.backend is None:
        return "nothing serves it"
    program = f", program {row.short_key}" if row.key else ""
    return f"{row.backend}{program}, {format_amount(row.memory, 'bytes')} of kernel memory"


def _list_details(variants: Sequence[PlannedRow]) -> Iterator[str]:
    first, rejected = variants[0].row, variants[0].rejected
    others = [planned.row for planned in variants[1:]]
    width = max(map(len, [*first.mechanisms, *map(_name_variant, others)]), default=0)
    for point, how in first.mechanisms.items():
        why = f" ({rejected[point]})" if point in rejected else ""
        yield f"{point:<{width}}  {how}{why}"
    yield from (f"{probe} takes {item}" for probe, item in first.alternatives.items())
    yield from (f"not {item}: {reason}" for item, reason in first.skipped.items())
    for reason in first.reasons:
        yield from reason.splitlines()
    served = any(row.backend for row in (first, *others))
    for row in others if served else ():
        yield f"{_name_variant(row):<{width}}  {_describe_variant(row, first)}"


def _name_variant(row: MatrixRow) -> str:
    return _VARIANTS[row.fetching, row.trampolines]


def _describe_variant(row: MatrixRow, first: MatrixRow) -> str:
    """What differs from the kernel as it was recorded."""
    if row.key is not None and row.key == first.key:
        return "the same program"
    if row.backend is None:
        return f"nothing serves it: {row.reasons[0].splitlines()[0]}"
    changed = [
        f"{point} {how}"
        for point, how in row.mechanisms.items()
        if first.mechanisms.get(point) != how
    ]
    program = f"program {row.short_key}" if row.key else row.backend
    return ", ".join([program, *changed])


def _draw_overview(blueprints: Sequence[Blueprint]) -> Iterator[str]:
    """A row for each plan and its settings, a column for each kernel."""
    header, *rows = _list_overview([blueprint.bundle for blueprint in blueprints])
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _list_overview(bundles: Sequence[Bundle]) -> list[list[str]]:
    kernels = list(dict.fromkeys(row.kernel for bundle in bundles for row in bundle.matrix))
    table = [["plan", *kernels]]
    for bundle in bundles:
        for settings in bundle.settings:
            cells = {
                row.kernel: _describe_cell(row)
                for row in bundle.matrix
                if row.settings == settings and row.is_recorded
            }
            table.append([_name_row(bundle, settings), *(cells[kernel] for kernel in kernels)])
    return table


def _name_row(bundle: Bundle, settings: Settings) -> str:
    """The plan, and what was given to it."""
    given = [f"{name}={value}" for name, value in settings.params.items()]
    given += [f"target {name}={value}" for name, value in settings.target.items()]
    given += [f"--{name} {value}" for name, value in settings.additions.items()]
    given += ["-- COMMAND"] if settings.command else []
    return " ".join([bundle.plan_name, *given])


def _describe_cell(row: MatrixRow) -> str:
    if row.key is not None:
        return f"{row.backend} {row.short_key}"
    return row.backend or "nothing"


# ---------------------------------------------------------------- other formats


def _format_json(blueprints: Sequence[Blueprint]) -> str:
    return json.dumps([_describe_plan(blueprint) for blueprint in blueprints], indent=2)


def _describe_plan(blueprint: Blueprint) -> dict[str, Any]:
    return {
        "plan": blueprint.bundle.plan_name,
        "file": blueprint.bundle.plan_file,
        "rows": [_describe_row(planned) for planned in blueprint.planned],
    }


def _describe_row(planned: PlannedRow) -> dict[str, Any]:
    fields = asdict(planned.row)
    fields["program"] = fields.pop("key")
    return {**fields, "rejected": dict(planned.rejected)}


def _format_markdown(blueprints: Sequence[Blueprint]) -> str:
    """The overview as a table, then each plan's rows, folded."""
    header, *rows = _list_overview([blueprint.bundle for blueprint in blueprints])
    lines = [_draw_row(header), _draw_row(["---"] * len(header)), *map(_draw_row, rows)]
    for blueprint in blueprints:
        name = _escape(blueprint.bundle.plan_name)
        lines += ["", f"<details><summary>{name}</summary>", "", "```text"]
        lines += [make_printable(line).replace("```", "'''") for line in _list_plan(blueprint)]
        lines += ["```", "", "</details>"]
    return "\n".join(lines)


def _draw_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escape, cells))} |"


def _escape(text: str) -> str:
    """Text as a cell of a table, or in a tag."""
    text = make_printable(text)
    for special, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`")):
        text = text.replace(special, written)
    return text


FORMATS: Mapping[str, Callable[[Sequence[Blueprint]], str]] = {
    "text": _format_text,
    "json": _format_json,
    "markdown": _format_markdown,
}
