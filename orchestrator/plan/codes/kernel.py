"""Finding codes: on a kernel."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP080",
        title="not offered by this kernel",
        meaning="The symbol, event or attach point does not exist on the kernel at hand.",
    ),
    FindingCode(
        code="PP081",
        title="must not be probed",
        meaning="The function is known to be unsafe to probe, or denied.",
    ),
    FindingCode(
        code="PP082",
        title="no such type or member",
        meaning=(
            "The kernel's type information has no such type or member. `either(a, b)` names "
            "choices."
        ),
    ),
    FindingCode(
        code="PP083",
        title="no type information",
        meaning="The kernel offers no BTF, which this expression needs.",
    ),
    FindingCode(
        code="PP084",
        title="a value of the wrong type",
        meaning="The operand does not have the type that is needed.",
    ),
    FindingCode(
        code="PP085",
        title="units do not fit",
        meaning="Durations, sizes and plain numbers do not mix: multiply by a unit, e.g. 10*ms.",
    ),
    FindingCode(
        code="PP086",
        title="a string out of bounds",
        meaning="A string or pattern is longer or wider than is possible.",
    ),
    FindingCode(
        code="PP087",
        title="a name without meaning here",
        meaning="The name is not known at this attach point.",
    ),
    FindingCode(
        code="PP088",
        title="nothing of that kind here",
        meaning="This attach point has no such argument, return value, elapsed time or task.",
    ),
    FindingCode(
        code="PP089",
        title="this host cannot do it",
        meaning="The host lacks what the attach point needs.",
    ),
    FindingCode(
        code="PP090",
        title="one field, two types",
        meaning="Over all attach points of a probe a field must have one type; use cast().",
    ),
    FindingCode(
        code="PP091",
        title="too much memory",
        meaning="Maps and buffers need more than limits.memory on this host.",
    ),
    FindingCode(
        code="PP092",
        title="cannot be started",
        meaning="Something that the run needs is not given or cannot start.",
    ),
    FindingCode(
        code="PP093",
        title="the run cannot go on",
        meaning="Something that the run depends on failed on this host.",
    ),
    FindingCode(
        code="PP094",
        title="too many attach points",
        meaning="The plan attaches to more places than limits.probes.",
    ),
    FindingCode(
        code="PP095",
        title="too costly here",
        meaning=(
            "In a second's count the plan's attach points were hit so often that it would "
            "break limits.cpu."
        ),
    ),
)
