"""The plans that have a name: those shipped with the program, and the site's."""

from pathlib import Path

from orchestrator.plan.findings import Finding, PlanError, Position

__all__ = [
    "SITE_PLANS",
    "find_plan",
    "is_bundle_name",
    "is_shipped",
    "shipped_plans",
    "site_plans",
]

#: Where a site keeps its plans and bundles; packages make it, and the Ansible module fills it.
SITE_PLANS = Path("/etc/probeplan/plans")

_PACKAGE = Path(__file__).parents[1]
#: In an installed package, and in a source tree.
_DIRECTORIES = (_PACKAGE / "plans", _PACKAGE.parent / "plans")


def shipped_plans() -> dict[str, Path]:
    """The shipped plans' files by name: the file's, without `.yaml`."""
    plans = next((directory for directory in _DIRECTORIES if directory.is_dir()), None)
    return {path.stem: path for path in sorted(plans.rglob("*.yaml"))} if plans else {}


def site_plans() -> dict[str, Path]:
    """The files of the site's plans and bundles by name: the file's, without `.yaml` or `.ppb`. Of
    a plan and a bundle of one name the plan counts. Empty where the folder is missing or may not
    be read."""
    try:
        files = sorted(SITE_PLANS.iterdir())  # NAME.yaml comes after NAME.ppb, and counts
    except OSError:
        return {}
    return {path.stem: path for path in files if path.suffix in {".yaml", ".ppb"}}


def is_bundle_name(path: Path) -> bool:
    """Whether a site's file is a bundle, by its name."""
    return path.suffix == ".ppb"


def is_shipped(content: bytes) -> bool:
    """Whether these are the bytes of a shipped plan, wherever they were read from."""
    return any(path.read_bytes() == content for path in shipped_plans().values())


def find_plan(name: str) -> str:
    """The path of the plan called `name`: `name` itself if it is a path or `-`, else that of the
    site's plan, else that of the shipped one. Raises PlanError for a bare word that is none."""
    if name == "-" or "/" in name or name.endswith((".yaml", ".yml")) or Path(name).exists():
        return name
    plans = {**shipped_plans(), **site_plans()}
    if name in plans:
        return str(plans[name])
    from orchestrator.catalog.answers import hint_at_plans  # only for errors
    from orchestrator.catalog.index import read_index

    finding = Finding(
        code="PP001",
        message=f"there is no file and no shipped plan {name!r}, nor one in {SITE_PLANS}",
        position=Position(file=name),
        hint=hint_at_plans(name, read_index()),
    )
    raise PlanError([finding])
