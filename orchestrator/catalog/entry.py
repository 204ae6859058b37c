"""What the catalog has of one plan."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.values import dataclass

__all__ = ["CatalogEntry", "CatalogParam", "entry_from_fields"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogParam:
    """A param of a plan: what `--set NAME=VALUE` may change. `default` is as text, None where a
    value is required; `choices`: all values there are, of a param that has few."""

    name: str
    type: str
    default: str | None
    summary: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One plan: the question that it answers, and by what it is found.

    `name` is what `run` takes: of a shipped or a site's plan its name, otherwise the path of its
    file. `area`: the folder of plans/, `site`, or "" for the plans of other folders. `file`: below
    plans/, or the path. `points`: the attach points of its probes, as the plan has them.
    """

    name: str
    question: str
    area: str
    file: str
    equivalents: tuple[str, ...] = ()
    cost: str = ""
    tags: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    params: tuple[CatalogParam, ...] = ()

    def as_fields(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


def entry_from_fields(fields: Mapping[str, Any]) -> CatalogEntry:
    """The entry that `as_fields` described. Raises KeyError and TypeError for other fields."""
    lists = {name: tuple(fields[name]) for name in ("equivalents", "tags", "points")}
    params = tuple(
        CatalogParam(**{**param, "choices": tuple(param["choices"])}) for param in fields["params"]
    )
    return CatalogEntry(**{**fields, **lists, "params": params})
