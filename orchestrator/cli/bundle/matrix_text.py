"""The matrix of plans and kernels, for people, programs and pull requests."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from orchestrator.bundle.build import is_recorded
from orchestrator.bundle.model import Bundle, MatrixRow, Settings
from orchestrator.output.terminal.human_units import format_amount
from orchestrator.plan.printable import make_printable

__all__ = ["FORMATS", "describe_bundle"]

_SHOWN_KEY = 12  # digits of a key, as git shows commits
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
    for row in filter(is_recorded, bundle.matrix):
        names = kernels.setdefault(row.backend or "nothing", [])
        if row.kernel not in names:
            names.append(row.kernel)
    served = "; ".join(f"{backend} on {', '.join(names)}" for backend, names in kernels.items())
    programs = len(bundle.programs)
    return f"{programs} program{'s' * (programs != 1)}, {size:,} bytes: {served}"


# ---------------------------------------------------------------- text


def _format_text(bundles: Sequence[Bundle]) -> str:
    """Each plan's rows, then an overview."""
    lines = [line for bundle in bundles for line in (*_list_plan(bundle), "")]
    return "\n".join([*map(make_printable, lines), *map(make_printable, _draw_overview(bundles))])


def _list_plan(bundle: Bundle) -> Iterator[str]:
    for settings in bundle.settings:
        yield f"plan {_name_row(bundle, settings)}"
        rows = [row for row in bundle.matrix if row.settings == settings]
        for kernels, variants in _group_kernels(rows):
            yield f"  {', '.join(kernels)}: {_describe_outcome(variants[0])}"
            yield from (f"    {line}" for line in _list_details(variants))


def _group_kernels(
    rows: Iterable[MatrixRow],
) -> Iterator[tuple[list[str], list[MatrixRow]]]:
    """Kernels on which the plan comes to the same, with the rows of the first."""
    by_kernel: dict[str, list[MatrixRow]] = {}
    for row in rows:
        by_kernel.setdefault(row.kernel, []).append(row)
    groups: list[tuple[list[str], list[MatrixRow]]] = []
    for kernel, variants in by_kernel.items():
        same = next((group for group in groups if _are_same(group[1], variants)), None)
        if same is not None:
            same[0].append(kernel)
        else:
            groups.append(([kernel], variants))
    yield from groups


def _are_same(rows: Sequence[MatrixRow], others: Sequence[MatrixRow]) -> bool:
    return list(map(_without_kernel, rows)) == list(map(_without_kernel, others))


def _without_kernel(row: MatrixRow) -> MatrixRow:
    return replace(row, kernel="", release="", build_id=None, trimmed=False)


def _describe_outcome(row: MatrixRow) -> str:
    if row.backend is None:
        return "nothing serves it"
    program = f", program {row.key[:_SHOWN_KEY]}" if row.key else ""
    return f"{row.backend}{program}, {format_amount(row.memory, 'bytes')} of kernel memory"


def _list_details(variants: Sequence[MatrixRow]) -> Iterator[str]:
    first = variants[0]
    width = max(map(len, [*first.mechanisms, *_VARIANTS.values()]))
    yield from (f"{point:<{width}}  {how}" for point, how in first.mechanisms.items())
    yield from (f"{probe} takes {item}" for probe, item in first.alternatives.items())
    yield from (f"not {item}: {reason}" for item, reason in first.skipped.items())
    for reason in first.reasons:
        yield from reason.splitlines()
    served = any(row.backend for row in variants)
    for row in variants[1:] if served else ():
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
    program = f"program {row.key[:_SHOWN_KEY]}" if row.key else row.backend
    return ", ".join([program, *changed])


def _draw_overview(bundles: Sequence[Bundle]) -> Iterator[str]:
    """A row for each plan and its settings, a column for each kernel."""
    header, *rows = _list_overview(bundles)
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
                if row.settings == settings and is_recorded(row)
            }
            table.append([_name_row(bundle, settings), *(cells[kernel] for kernel in kernels)])
    return table


def _name_row(bundle: Bundle, settings: Settings) -> str:
    """The plan, and what was given to it."""
    given = [f"{name}={value}" for name, value in settings.params.items()]
    given += [f"target {name}={value}" for name, value in settings.target.items()]
    given += ["-- COMMAND"] if settings.command else []
    return " ".join([bundle.plan_name, *given])


def _describe_cell(row: MatrixRow) -> str:
    if row.key is not None:
        return f"{row.backend} {row.key[:_SHOWN_KEY]}"
    return row.backend or "nothing"


# ---------------------------------------------------------------- other formats


def _format_json(bundles: Sequence[Bundle]) -> str:
    return json.dumps([_describe_plan(bundle) for bundle in bundles], indent=2)


def _describe_plan(bundle: Bundle) -> dict[str, Any]:
    return {
        "plan": bundle.plan_name,
        "file": bundle.plan_file,
        "rows": [_describe_row(row) for row in bundle.matrix],
    }


def _describe_row(row: MatrixRow) -> dict[str, Any]:
    fields = asdict(row)
    fields["program"] = fields.pop("key")
    return fields


def _format_markdown(bundles: Sequence[Bundle]) -> str:
    """The overview as a table, then each plan's rows, folded."""
    header, *rows = _list_overview(bundles)
    lines = [_draw_row(header), _draw_row(["---"] * len(header)), *map(_draw_row, rows)]
    for bundle in bundles:
        lines += ["", f"<details><summary>{_escape(bundle.plan_name)}</summary>", "", "```text"]
        lines += [make_printable(line).replace("```", "'''") for line in _list_plan(bundle)]
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


FORMATS: Mapping[str, Callable[[Sequence[Bundle]], str]] = {
    "text": _format_text,
    "json": _format_json,
    "markdown": _format_markdown,
}
