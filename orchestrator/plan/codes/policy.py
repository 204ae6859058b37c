"""Finding codes: policies."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP120",
        title="a policy that cannot be trusted",
        meaning=(
            "/etc/probeplan/policy.yaml cannot be read, or users other than root may have "
            "written it. No plan runs until this is corrected."
        ),
        cure="Let root own the file and its directories, writable for root only.",
        arises="Any command that applies the host's policy.",
    ),
    FindingCode(
        code="PP121",
        title="a kind that is not allowed",
        meaning="The policy's allow_kinds or deny_kinds forbids this attach kind.",
        cure="Attach in another way, or ask the owner of the policy.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
deny_kinds: [function]
""",
        command="probeplan lint plan.yaml --policy policy.yaml",
    ),
    FindingCode(
        code="PP122",
        title="a symbol that is not allowed",
        meaning="The policy's allow_symbols or deny_symbols forbids this attach point.",
        cure="Probe something else, or ask the owner of the policy.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
deny_symbols: ["vfs_*"]
""",
        command="probeplan lint plan.yaml --policy policy.yaml",
    ),
    FindingCode(
        code="PP123",
        title="a plan that is not allowed",
        meaning=(
            "The policy lists under `plans` the digests of the files that may run, byte for byte."
        ),
        cure="Run the plan unchanged, as it was approved, or have its digest added.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
plans: ["0000000000000000000000000000000000000000000000000000000000000000"]
""",
        command="probeplan lint plan.yaml --policy policy.yaml",
    ),
    FindingCode(
        code="PP124",
        title="user memory that may not be read",
        meaning=("The policy protects user memory (`user_strings`), and the plan would read it."),
        cure="Leave out what is behind user pointers, or ask the owner of the policy.",
        example="""\
probes:
  open:
    attach: syscall:openat
    emit: {file: "str(args.filename)"}
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
user_strings: deny
""",
        command="probeplan explain plan.yaml --policy policy.yaml --kernel 6.1.facts.xz",
    ),
    FindingCode(
        code="PP125",
        title="too many runs at a time",
        meaning="As many plans are running as the policy's max_runs allows.",
        cure="Wait until a run has ended, or stop one: `probeplan status`.",
        arises="`probeplan run` on a host whose policy has max_runs.",
    ),
    FindingCode(
        code="PP126",
        title="a backend that is not allowed",
        meaning="The policy's allow_backends forbids this backend.",
        cure="Use a backend that is allowed.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
allow_backends: [tracefs]
""",
        command=(
            "probeplan explain plan.yaml --backend bcc --policy policy.yaml --kernel 6.1.facts.xz"
        ),
    ),
    FindingCode(
        code="PP127",
        title="above a ceiling",
        meaning=(
            "A limit of the plan is above the policy's ceiling. The run gets the policy's limit."
        ),
        cure="Lower the limit, so that the plan says what happens.",
        example="""\
limits: {duration: 10m}
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
limits: {duration: 1m}
""",
        command="probeplan lint plan.yaml --policy policy.yaml",
    ),
)
