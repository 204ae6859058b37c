"""Finding codes: policies."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP120",
        title="a policy that cannot be trusted",
        meaning=(
            "/etc/probeplan/policy.yaml, or a file that it names under `signatures`, cannot be "
            "read, or users other than root may have written it. No plan runs until this is "
            "corrected."
        ),
        cure="Let root own the files and their directories, writable for root only.",
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
        title="user data that would leave",
        meaning=(
            "The policy protects user data (`user_strings`): with `deny` the plan must not use it;"
            " with `hash` and `truncate` it may only emit text that is read from its beginning."
            " Numbers, filters, choices, sums, registers of user code and user stacks are refused,"
            " except for what `allow_user` names."
        ),
        cure=(
            "Emit whole strings (`str(p)`), leave out filters and numbers of user data, or ask the"
            " owner of the policy."
        ),
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
        command="probeplan explain plan.yaml --policy policy.yaml --kernel debian:6.1",
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
            "probeplan explain plan.yaml --backend bcc --policy policy.yaml --kernel debian:6.1"
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
    FindingCode(
        code="PP128",
        title="set on the command line, and not allowed",
        meaning=(
            "The policy names the params, limits and keys of the target that the command line may"
            " set (`allow_params`, `allow_limits`, `allow_targets`). While it lists plans by their"
            " digests, others may not be set: a digest covers the file alone."
        ),
        cure="Leave the option out, or ask the owner of the policy.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
allow_limits: [events]
""",
        command=(
            "probeplan explain plan.yaml --limit duration=1m --policy policy.yaml"
            " --kernel debian:6.1"
        ),
    ),
    FindingCode(
        code="PP129",
        title="kernel memory at a computed address",
        meaning=(
            "The policy allows only typed reads of kernel memory (`kernel_memory`): members of the"
            " arguments' own types. An address that is computed, or whose type only the plan"
            " states, can lead to every byte of the machine, by page tables also to user memory."
        ),
        cure="Read members of typed arguments, or ask the owner of the policy.",
        example="""\
probes:
  read:
    attach: kprobe:vfs_read
    emit: {word: "load(u64, arg0)"}
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
kernel_memory: typed
""",
        command="probeplan explain plan.yaml --policy policy.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP130",
        title="a risk for programs that is not allowed",
        meaning=(
            "The plan sets `unsafe_return`: a return probe that may kill the programs that call "
            "the function. The policy's unsafe_return does not allow that."
        ),
        cure="Attach at the entry (`uprobe`), or ask the owner of the policy.",
        example="""\
probes:
  throw:
    attach: ufunction:/usr/bin/gdb:main
    unsafe_return: true
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
unsafe_return: deny
""",
        command="probeplan lint plan.yaml --policy policy.yaml",
    ),
    FindingCode(
        code="PP131",
        title="a plan or bundle that is not signed",
        meaning=(
            "The policy requires a signature (`signatures.required`), and there is no FILE.sig next"
            " to the plan or bundle. One from standard input has none. Plans that come with"
            " probeplan need one, too, unless `signatures.shipped` is `trusted`."
        ),
        cure="Sign it: `ssh-keygen -Y sign -n probeplan -f KEY FILE` makes FILE.sig.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        policy="""\
apiVersion: probeplan/v1
kind: Policy
signatures: {required: true, signers: /etc/probeplan/allowed_signers}
""",
        command="probeplan lint plan.yaml --policy policy.yaml",
    ),
    FindingCode(
        code="PP132",
        title="a signature that is refused",
        meaning=(
            "FILE.sig is not the signature of an allowed signer over the plan or bundle as it was"
            " read: it was changed, the signature is for another namespace than `probeplan`, the"
            " key is unknown, expired or revoked. A policy with `signatures` refuses that also"
            " where it requires none."
        ),
        cure="Have the file, as it is now, signed by one of the policy's signers.",
        arises="`run`, `explain`, `doctor`, `check` and `lint --policy`, where FILE.sig exists.",
    ),
    FindingCode(
        code="PP133",
        title="a signature that cannot be checked",
        meaning=(
            "There is no ssh-keygen on this host, it gave no answer, or the files that the policy"
            " names under `signatures` cannot be read. `lint` only warns of it: it may run on"
            " another host than the plan."
        ),
        cure="Install openssh-client; make the files readable.",
        arises="`run`, `explain`, `doctor`, `check` and `lint --policy`, where FILE.sig exists.",
    ),
    FindingCode(
        code="PP134",
        title="a bundle where no policy names signers",
        meaning=(
            "A policy judges plans. The programs in a bundle need not be those of its plan: anyone"
            " who wrote the file could have put others there, which read what the policy forbids."
            " So a policy has to say whose signatures count, and whether bundles need one."
        ),
        cure="Give the policy `signatures`, with `required: true`, and sign the bundle.",
        arises="`run`, `explain`, `doctor` and `lint --policy` of a bundle.",
    ),
)
