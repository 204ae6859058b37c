"""Every row, by the plan's name."""

from collections.abc import Mapping

from tests.recipes import apps, block, fs, functions, locks, mm, net, process, sched, security
from tests.recipes.recipe import Recipe

AREAS = (apps, block, fs, functions, locks, mm, net, process, sched, security)
RECIPES: Mapping[str, Recipe] = {name: row for area in AREAS for name, row in area.ROWS.items()}
AREA_OF: Mapping[str, str] = {
    name: area.__name__.rpartition(".")[2] for area in AREAS for name in area.ROWS
}
