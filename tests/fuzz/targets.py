"""All targets, by name."""

from tests.fuzz import bundles, debug_info, expressions, front, kernel, lines, pages, rings
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        front.TARGET,
        expressions.TARGET,
        lines.TARGET,
        pages.TARGET,
        rings.TARGET,
        bundles.TARGET,
        debug_info.TARGET,
        *kernel.TARGETS,
    )
}
