"""The plans that are shipped with the program, by name."""

from pathlib import Path

from orchestrator.plan.findings import Finding, PlanError, Position

__all__ = ["find_plan", "is_shipped", "shipped_plans"]

_PACKAGE = Path(__file__).parents[1]
#: In an installed package, and in a source tree.
_DIRECTORIES = (_PACKAGE / "plans", _PACKAGE.parent / "plans")


def shipped_plans() -> dict[str, Path]:
    """The shipped plans' files by name: the file's, without `.yaml`."""
    plans = next((directory for directory in _DIRECTORIES if directory.is_dir()), None)
    return {path.stem: path for path in sorted(plans.rglob("*.yaml"))} if plans else {}


def is_shipped(content: bytes) -> bool:
    """Whether these are the bytes of a shipped plan, wherever they were read from."""
    return any(path.read_bytes() == content for path in shipped_plans().values())


def find_plan(name: str) -> str:
    """The path of the plan called `name`: `name` itself if it is a path or `-`, else that of the
    shipped plan. Raises PlanError for a bare word that is neither."""
    if name == "-" or "/" in name or name.endswith((".yaml", ".yml")) or Path(name).exists():
        return name
    plans = shipped_plans()
    if name in plans:
        return str(plans[name])
    from orchestrator.catalog.answers import hint_at_plans  # only for errors
    from orchestrator.catalog.index import read_index

    finding = Finding(
        code="PP001",
        message=f"there is no file and no shipped plan {name!r}",
        position=Position(file=name),
        hint=hint_at_plans(name, read_index()),
    )
    raise PlanError([finding])
