"""Finding codes: probes, spans, metrics and params."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP050",
        title="not exactly one attach",
        meaning="A probe has exactly one of attach, attach_first and attach_all.",
        cure="Remove all but one of them; use attach_first for alternatives.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    attach_first: ["syscall:read"]
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP051",
        title="unknown attach kind",
        meaning="An attach point is KIND:TARGET, for example function:vfs_read.",
        cure="Use one of the kinds that the hint lists.",
        example="""\
probes:
  read:
    attach: funktion:vfs_read
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP052",
        title="bad attach target",
        meaning=(
            "Targets are checked strictly by kind, since they reach the kernel: only "
            "symbols, paths and event names, with the characters of such names, are "
            "allowed."
        ),
        cure="Write the target as the hint shows.",
        example="""\
probes:
  read:
    attach: tracepoint:sched_switch
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP053",
        title="nothing is done",
        meaning=(
            "A probe needs emit, metrics, or a span that uses it; a span needs emit or metrics."
        ),
        cure="Add `emit: {}` for records, or `metrics:`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
""",
    ),
    FindingCode(
        code="PP054",
        title="not exactly one aggregate",
        meaning="A metric has exactly one of count, sum, min, max, avg and histogram.",
        cure="Make a second metric for another aggregate.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    metrics:
      calls: {by: [comm]}
""",
    ),
    FindingCode(
        code="PP055",
        title="unknown name in by",
        meaning="`by` lists builtins, definitions and arguments (args.NAME).",
        cure="Correct the spelling, or define the name under `let`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    metrics:
      calls: {count: true, by: [com]}
""",
    ),
    FindingCode(
        code="PP056",
        title="buckets without a histogram",
        meaning="Only histograms have buckets.",
        cure="Use `histogram`, or leave `buckets` out.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    metrics:
      bytes: {sum: retval, buckets: log(16)}
""",
    ),
    FindingCode(
        code="PP057",
        title="two fields with one name",
        meaning=(
            "The list form of `emit` takes the last part of each name as the name of the field."
        ),
        cure="Name the fields: `emit: {a: args.x, b: retval}`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    let: {count: retval}
    emit: [count, args.count]
""",
    ),
    FindingCode(
        code="PP058",
        title="a reserved word as a name",
        meaning="Words such as `if`, `in` and `not` cannot be used as names in expressions.",
        cure="Choose another name.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    let: {in: retval}
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP060",
        title="bad target",
        meaning=(
            "Process and user ids are numbers, task names have at most 15 bytes, and "
            "cgroups are paths below the cgroup v2 mount."
        ),
        cure="Write the value as the hint says.",
        example="""\
target: {comm: [gnome-terminal-server]}
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP061",
        title="sampling where a span must see every event",
        meaning=(
            "Sampling is decided where a span starts; its ends must see every event. So must its "
            "starts under `again: keep`: one that was left out would not keep the next. So must "
            "the probes that set and drop a note."
        ),
        cure="Sample at the probe that starts the span.",
        example="""\
probes:
  wake: {attach: "tracepoint:sched:sched_wakeup"}
  run: {attach: "tracepoint:sched:sched_switch", sample: 1/10}
spans:
  wait: {start: wake, end: run, key: [cpu], emit: {took: elapsed}}
""",
    ),
    FindingCode(
        code="PP062",
        title="a span does not fit its probes",
        meaning=(
            "A span, something outstanding or a note names a probe that does not exist, or uses a "
            "key that one of its probes does not define; or a span has the name of a probe."
        ),
        cure="Correct the name, or give the probe a `let` that defines the key.",
        example="""\
probes:
  wake: {attach: "tracepoint:sched:sched_wakeup", emit: [pid]}
  run: {attach: "tracepoint:sched:sched_switch"}
spans:
  wait: {start: woke, end: run, key: [cpu], emit: {took: elapsed}}
""",
    ),
    FindingCode(
        code="PP063",
        title="one probe in two roles",
        meaning="A probe either starts a span or ends it, and either sets a note or drops it.",
        cure=(
            "Make a second probe at the same attach point: both become one program, in "
            "which ends come before starts."
        ),
        example="""\
probes:
  switch: {attach: "tracepoint:sched:sched_switch"}
spans:
  slice: {start: switch, end: switch, key: [cpu], emit: {took: elapsed}}
""",
    ),
    FindingCode(
        code="PP064",
        title="interpolation out of place",
        meaning="$(params.NAME) is replaced under attach, by and target only, and in a check under "
        "set and workload.",
        cure="In an expression, write `params.NAME`.",
        example="""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: example, summary: "Reads of $(params.who)"}
params:
  who: {type: string, default: root}
probes:
  read: {attach: "function:vfs_read", emit: {}}
""",
    ),
    FindingCode(
        code="PP065",
        title="a param cannot be used here",
        meaning="There is no such param, or its type does not fit this place.",
        cure="Define the param under `params` with a type that fits.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: elapsed > params.threshold
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP066",
        title="a param contradicts itself",
        meaning="Type, default, choices, min or max of a param do not fit together.",
        cure="Write the default in the type, and within the bounds, of the param.",
        example="""\
params:
  threshold: {type: duration, default: 10}
probes:
  read:
    attach: function:vfs_read
    where: elapsed > params.threshold
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP067",
        title="bad override on the command line",
        meaning=(
            "--set, --target, --limit, --by or --enrich names something unknown, or what does not "
            "fit the plan."
        ),
        cure="Correct the name, or write the value in the type of the param or limit.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
""",
        command="probeplan lint plan.yaml --limit durration=1s",
    ),
    FindingCode(
        code="PP068",
        title="a param has no value",
        meaning="The param has no default, so that the command line must set it.",
        cure="Set it: --set NAME=VALUE.",
        example="""\
params:
  threshold: {type: duration}
probes:
  read:
    attach: function:vfs_read
    where: elapsed > params.threshold
    emit: [pid]
""",
        command="probeplan lint plan.yaml --kernel debian:6.1",
    ),
    FindingCode(
        code="PP070",
        title="a definition hides a builtin",
        meaning=(
            "A definition takes precedence over a builtin of the same name. This is "
            "allowed, but may mislead readers."
        ),
        cure="Choose another name.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    let: {comm: retval}
    emit: [comm]
""",
    ),
    FindingCode(
        code="PP071",
        title="no such metric",
        meaning=(
            "Figures name metrics as PROBE.METRIC or SPAN.METRIC. A metric's `warn` is "
            "evaluated over the numbers of each of its cells."
        ),
        cure="Correct the name; the hint lists the metrics.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    metrics:
      calls: {count: true}
derive:
  per_call: {value: read.bytes / read.calls}
""",
    ),
    FindingCode(
        code="PP072",
        title="a metric has no such number",
        meaning=(
            "A count, sum, min, max or avg has a `value`; a histogram has count, below, "
            "above and the percentiles p50, p75, p90, p95, p99, p99_9: PROBE.METRIC.p99."
        ),
        cure="Name one of the numbers in the hint.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    metrics:
      took: {histogram: elapsed}
derive:
  slow: {value: read.took}
""",
    ),
    FindingCode(
        code="PP073",
        title="not a figure",
        meaning=(
            "A derived figure is a number; `warn` and `stop_when` are conditions. They "
            "compute with + - * / // %, comparisons, and, or, not, min, max and total."
        ),
        cure=(
            "Write a number where a number is needed, and a comparison where a condition is needed."
        ),
        example="""\
probes:
  read:
    attach: function:vfs_read
    metrics:
      calls: {count: true}
derive:
  many: {value: read.calls > 100}
""",
    ),
)
