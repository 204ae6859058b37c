"""Finding codes: keys and values."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP030",
        title="unknown key",
        meaning="The plan language has no such key at this place.",
        cure=(
            "Correct the spelling; the hint names the nearest key, or all keys that are "
            "known at this place."
        ),
        example="""\
probes:
  read:
    attach: function:vfs_read
    smaple: 1/10
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP031",
        title="missing key",
        meaning="A required key is not there.",
        cure="Add the key.",
        example="""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: example}
probes:
  read: {attach: "function:vfs_read", emit: {}}
""",
    ),
    FindingCode(
        code="PP032",
        title="wrong type",
        meaning="The value is of another type than this key takes.",
        cure="Write the value in the type that the message names.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    optional: 1
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP033",
        title="not one of the allowed values",
        meaning="The key takes one of a few words.",
        cure="Use one of the words in the hint.",
        example="""\
limits: {at_cap: stopp}
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP034",
        title="wrong form",
        meaning="The value does not have the form, length or size that this key takes.",
        cure="Write it as the message says.",
        example="""\
limits: {duration: 10 seconds}
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP035",
        title="another language",
        meaning=(
            "The document is not a plan, or is written in a version of the language that "
            "this program does not read."
        ),
        cure="Start the plan with `apiVersion: probeplan/v1` and `kind: ProbePlan`.",
        example="""\
apiVersion: probeplan/v2
kind: ProbePlan
metadata: {name: example, summary: An example}
probes:
  read: {attach: "function:vfs_read", emit: {}}
""",
    ),
    FindingCode(
        code="PP036",
        title="a newer language is required",
        meaning=(
            "`metadata.requires` names a release of the language that this program does not"
            " support."
        ),
        cure="Update probeplan, or lower `requires` if the plan does not need it.",
        example="""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: example, summary: An example, requires: "1.7"}
probes:
  read: {attach: "function:vfs_read", emit: {}}
""",
    ),
    FindingCode(
        code="PP040",
        title="unreadable quantity",
        meaning=(
            "Durations are written 30s or 1m30s, sizes 32MiB, counts 10k, rates 1k/s, ratios 1/10."
        ),
        cure="Write the number with its unit.",
        example="""\
limits: {duration: 1s1m}
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP041",
        title="quantity out of range",
        meaning="The quantity can be read, but is outside the range that this key takes.",
        cure="Choose a value in the range that the hint gives.",
        example="""\
limits: {duration: 60d}
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
    ),
)
