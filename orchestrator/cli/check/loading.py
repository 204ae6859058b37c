"""Loading all checks that a command line names, or saying all that is wrong with them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from orchestrator.plan.findings import Finding, PlanError

if TYPE_CHECKING:
    from orchestrator.check.model import Check

__all__ = ["load_all"]

_Loaded = TypeVar("_Loaded")


def load_all(
    paths: list[str], load: Callable[[str], _Loaded], check_of: "Callable[[_Loaded], Check]"
) -> list[_Loaded]:
    """What `load` makes of each file of checks. Raises PlanError with the findings of all of them,
    also where two have the same name."""
    from orchestrator.check.document.load import find_repeated_names
    from orchestrator.check.find import find_check_files

    loaded: list[_Loaded] = []
    findings: list[Finding] = []
    for file in find_check_files(paths):
        try:
            loaded.append(load(file))
        except PlanError as error:
            findings += error.findings
    findings += find_repeated_names(list(map(check_of, loaded)))
    if findings:
        raise PlanError(findings)
    return loaded
