"""Finding codes: on a kernel."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP080",
        title="not offered by this kernel",
        meaning="The symbol, event or attach point does not exist on this kernel.",
        cure="Correct the name, or list alternatives under attach_first.",
        example="""\
probes:
  read: {attach: "function:vfs_reed", emit: {}}
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP081",
        title="must not be probed",
        meaning="The function is unsafe to probe, or the kernel refuses probes on it.",
        cure="Probe one of its callers.",
        example="""\
probes:
  lock: {attach: "function:_raw_spin_lock", emit: {}}
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP082",
        title="no such type or member",
        meaning=(
            "The kernel's type information, or the debug information of the probe's program, has "
            "no such type, member or argument; or the program has two that differ."
        ),
        cure="Correct the name; `either(a, b)` tries alternatives; `types` spells a structure.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {position: args.file.f_positon}
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP083",
        title="no type information",
        meaning="The kernel has no BTF, which this expression needs.",
        cure=(
            "Use a kernel with CONFIG_DEBUG_INFO_BTF, or a tracepoint whose fields need no types."
        ),
        arises=(
            "On a kernel without BTF, the plan reads members of structs, or attaches to a "
            "raw tracepoint."
        ),
    ),
    FindingCode(
        code="PP084",
        title="a value of the wrong type",
        meaning="The operand does not have the type that is needed.",
        cure=(
            'Read strings with str(p), name a member of a struct, or convert with cast(x, "TYPE").'
        ),
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: args.file
    emit: {file: args.file.f_path}
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP085",
        title="units do not fit",
        meaning="Durations, sizes and plain numbers do not mix.",
        cure="Multiply by a unit: 10*ms.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: elapsed > 100
    emit: [pid]
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP086",
        title="out of bounds",
        meaning="A string, buffer, pattern, record or expression is larger than is possible.",
        cure="Stay within the bounds that the hint gives.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {text: "str(arg1, 100000)"}
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP087",
        title="a name without meaning here",
        meaning="The name is not known at this attach point.",
        cure="Correct the spelling, or define the name under `let`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: retval == -NO_SUCH_ERROR
    emit: [pid]
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP088",
        title="nothing of that kind here",
        meaning="This attach point has no such argument, return value, elapsed time or task.",
        cure="Use an attach kind that has it.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {ninth: arg8}
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP089",
        title="this host cannot do it",
        meaning=(
            "The kernel refused a program or an attach point, or the host lacks what it needs."
        ),
        cure="Follow the hint; `probeplan doctor` shows what this host offers.",
        arises="While attaching: the kernel refuses to load a program, or to attach it.",
    ),
    FindingCode(
        code="PP090",
        title="one field, two types",
        meaning="A field must have one type at all attach points of a probe.",
        cure="Bring the values to one type with cast().",
        example="""\
probes:
  read:
    attach_all:
      - {to: "function:vfs_read", let: {what: retval}}
      - {to: "function:vfs_write", let: {what: comm}}
    emit: [what]
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP091",
        title="too much memory",
        meaning="Maps and buffers need more than limits.memory on this host.",
        cure="Raise limits.memory, or lower `keys` of the metrics.",
        example="""\
limits: {memory: 64KiB}
probes:
  read:
    attach: function:vfs_read
    metrics:
      calls: {count: true, by: [comm]}
""",
        command="probeplan explain plan.yaml --backend bcc --kernel debian:6.1",
    ),
    FindingCode(
        code="PP092",
        title="cannot be started",
        meaning=(
            "A privilege, directory, command or option that the run needs is missing, or "
            "the command line asks for something impossible."
        ),
        cure="Follow the hint.",
        arises=(
            "Before anything is attached, for example when `probeplan run` is started without root."
        ),
    ),
    FindingCode(
        code="PP093",
        title="the run cannot go on",
        meaning=(
            "Something that the run depends on failed on this host, or a request to a "
            "running plan cannot be met."
        ),
        cure="Follow the hint.",
        arises="While a plan is running.",
    ),
    FindingCode(
        code="PP094",
        title="too many attach points",
        meaning="The plan attaches to more places than limits.probes allows.",
        cure="Narrow the glob, or raise limits.probes.",
        example="""\
limits: {probes: 4}
probes:
  fs: {attach: "entry:vfs_*", emit: {}}
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP095",
        title="too costly here",
        meaning=(
            "In a one-second count, the plan's attach points were hit so often that it "
            "would exceed limits.cpu."
        ),
        cure="Sample, narrow the plan, or raise limits.cpu; --force skips the count.",
        arises="`probeplan run` of a plan that attaches to hot places, on a busy host.",
    ),
    FindingCode(
        code="PP096",
        title="no machine",
        meaning=(
            "The deterministic machine of a check cannot be made on this host, or was lost before "
            "it gave a result: nothing is known about the workload. A workload that fails in the "
            "machine is reported as anywhere else."
        ),
        cure=(
            "Do what the message says: install what is missing, name the file, give it memory. A "
            "lost machine's last words are in the message."
        ),
        arises="When a check with `machine` is measured.",
    ),
)
