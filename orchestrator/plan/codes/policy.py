"""Finding codes: policies."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP120",
        title="a policy that cannot be trusted",
        meaning=(
            "/etc/probeplan/policy.yaml cannot be read, or others than root may have written "
            "it. While that is so nothing runs."
        ),
    ),
    FindingCode(
        code="PP121",
        title="a kind that is not allowed",
        meaning="The host's policy has allow_kinds or deny_kinds.",
    ),
    FindingCode(
        code="PP122",
        title="a symbol that is not allowed",
        meaning="The host's policy has allow_symbols or deny_symbols.",
    ),
    FindingCode(
        code="PP123",
        title="a plan that is not allowed",
        meaning="The host's policy has `plans`: digests of the files that may run, byte for byte.",
    ),
    FindingCode(
        code="PP124",
        title="user memory that may not be read",
        meaning="The host's policy has `user_strings`, and the plan would read what it protects.",
    ),
    FindingCode(
        code="PP125",
        title="too many runs at a time",
        meaning="The host's policy has max_runs.",
    ),
    FindingCode(
        code="PP126",
        title="a backend that is not allowed",
        meaning="The host's policy has allow_backends.",
    ),
    FindingCode(
        code="PP127",
        title="above a ceiling",
        meaning="A limit of the plan is above the policy's. The run gets the policy's.",
    ),
)
