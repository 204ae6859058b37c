"""The plans that a command line names, and the files of their bundles."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.output.replace_file import check_replaceable
from orchestrator.plan.document.folders import find_documents, is_folder
from orchestrator.plan.findings import Finding, PlanError, Position, of_command_line
from orchestrator.run.shipped import find_plan

__all__ = ["list_plans", "place_bundles"]


def list_plans(words: Sequence[str]) -> list[str]:
    """The plan files, each once: those named, shipped ones by their names, and all plans of a
    folder. Raises PlanError for a word that is none of these, and a folder without plans."""
    return list(dict.fromkeys(file for word in words for file in _find_plans(word)))


def _find_plans(word: str) -> Iterator[str]:
    if word == "-" or not is_folder(word):
        yield find_plan(word)
        return
    findings: list[Finding] = []
    plans = list(find_documents(word, findings, with_checks=False))
    if not plans and not findings:
        hint = "plans end in .yaml or .yml and contain `kind: ProbePlan`"
        message = f"no plans in the directory {word!r}"
        place = Position(file=word)
        findings.append(Finding(code="PP012", message=message, position=place, hint=hint))
    if findings:
        raise PlanError(findings)
    yield from plans


def place_bundles(plans: Sequence[str], output: str) -> list[str]:
    """The file of each plan's bundle; it can be written. `output` is that file, or a folder, which
    is made if need be. Raises PlanError where two plans have one name, and OSError."""
    into_folder = len(plans) > 1 or output.endswith("/") or is_folder(output)
    places = [str(Path(output) / f"{_name_plan(plan)}.ppb") for plan in plans]
    if not into_folder:
        places = [output]
    if twice := [place for place in places if places.count(place) > 1]:
        message = f"two plans would be written to {twice[0]}"
        raise PlanError([of_command_line(message, "build them into two directories")])
    if into_folder:
        Path(output).mkdir(parents=True, exist_ok=True)
    for place in places:
        check_replaceable(place)
    return places


def _name_plan(plan: str) -> str:
    return "plan" if plan == "-" else Path(plan).stem
