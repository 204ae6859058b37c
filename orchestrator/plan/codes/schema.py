"""Finding codes: keys and values."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP030",
        title="unknown key",
        meaning="The plan language has no such key at this place.",
    ),
    FindingCode(
        code="PP031",
        title="missing key",
        meaning="A required key is not there.",
    ),
    FindingCode(
        code="PP032",
        title="wrong type",
        meaning="The value is of another type than this key takes.",
    ),
    FindingCode(
        code="PP033",
        title="not one of the allowed values",
        meaning="The key takes one of a few words.",
    ),
    FindingCode(
        code="PP034",
        title="wrong form",
        meaning="The value does not have the form, length or size that this key takes.",
    ),
    FindingCode(
        code="PP035",
        title="another language",
        meaning=(
            "The document says that it is not a plan, or in a version that this program does "
            "not read."
        ),
    ),
    FindingCode(
        code="PP036",
        title="a newer language is required",
        meaning=(
            "`metadata.requires` names a release of the language that this program does not speak."
        ),
    ),
    FindingCode(
        code="PP040",
        title="unreadable quantity",
        meaning=(
            "Durations are written 30s or 1m30s, sizes 32MiB, counts 10k, rates 1k/s, ratios 1/10."
        ),
    ),
    FindingCode(
        code="PP041",
        title="quantity out of range",
        meaning="The value can be read but makes no sense here.",
    ),
)
