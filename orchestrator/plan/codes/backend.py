"""Finding codes: backends."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP110",
        title="this backend cannot do it",
        meaning="The backend has no way to do what the plan asks; the other one may.",
    ),
    FindingCode(
        code="PP111",
        title="cannot be written down",
        meaning="The backend has no spelling for this attach point.",
    ),
    FindingCode(
        code="PP112",
        title="only in user space",
        meaning="The backend would move a condition out of the kernel, which `auto` never does.",
    ),
    FindingCode(
        code="PP113",
        title="tracefs refused",
        meaning="tracefs is not mounted, or a write to it failed.",
    ),
    FindingCode(
        code="PP114",
        title="tracefs refused a filter",
        meaning="The kernel did not take an event's filter or trigger.",
    ),
)
