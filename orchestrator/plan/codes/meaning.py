"""Finding codes: probes, spans, metrics and params."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP050",
        title="not exactly one attach",
        meaning="A probe has exactly one of attach, attach_first and attach_all.",
    ),
    FindingCode(
        code="PP051",
        title="unknown attach kind",
        meaning="An attach point is KIND:TARGET, e.g. function:vfs_read.",
    ),
    FindingCode(
        code="PP052",
        title="bad attach target",
        meaning=(
            "Targets are checked strictly by kind, since they reach the kernel: symbols, "
            "paths and event names with the characters of such names only."
        ),
    ),
    FindingCode(
        code="PP053",
        title="a probe does nothing",
        meaning="A probe needs emit, metrics, or a span that uses it.",
    ),
    FindingCode(
        code="PP054",
        title="not exactly one aggregate",
        meaning="A metric has exactly one of count, sum, min, max, avg and histogram.",
    ),
    FindingCode(
        code="PP055",
        title="unknown name in by",
        meaning="`by` lists builtins, own definitions and arguments (args.NAME).",
    ),
    FindingCode(
        code="PP056",
        title="buckets without a histogram",
        meaning="Only histograms have buckets.",
    ),
    FindingCode(
        code="PP057",
        title="two fields of one name",
        meaning="The list form of `emit` takes the last part of each name as the field's name.",
    ),
    FindingCode(
        code="PP058",
        title="a word of the language as a name",
        meaning="Words such as `if`, `in` and `not` cannot be used as names in expressions.",
    ),
    FindingCode(
        code="PP060",
        title="bad target",
        meaning=(
            "Process and user ids are numbers, task names have at most 15 bytes, and cgroups "
            "are paths below the cgroup v2 mount."
        ),
    ),
    FindingCode(
        code="PP061",
        title="sampling at the end of a span",
        meaning="Sampling is decided where a span starts; its ends must see every event.",
    ),
    FindingCode(
        code="PP062",
        title="a span does not fit its probes",
        meaning=(
            "A span or something outstanding names a probe that is not there, has a probe's "
            "name, or has a key that one of its probes cannot say."
        ),
    ),
    FindingCode(
        code="PP063",
        title="one probe in two roles",
        meaning=(
            "A probe starts a span or ends it. Two probes at one attach point can do both: "
            "they are one program, and ends come before starts."
        ),
    ),
    FindingCode(
        code="PP064",
        title="interpolation out of place",
        meaning="$(params.NAME) is filled in under attach, by and target only.",
    ),
    FindingCode(
        code="PP065",
        title="a param cannot be used so",
        meaning="There is no such param, or its type does not fit this place.",
    ),
    FindingCode(
        code="PP066",
        title="a param does not agree with itself",
        meaning="Type, default, choices, min or max clash.",
    ),
    FindingCode(
        code="PP067",
        title="bad override on the command line",
        meaning="--set, --target or --limit names something unknown or a value that does not fit.",
    ),
    FindingCode(
        code="PP068",
        title="a param has no value",
        meaning="It has no default and must be given with --set.",
    ),
    FindingCode(
        code="PP070",
        title="a definition hides a builtin",
        meaning=(
            "An own definition wins over a builtin of the same name. It works, but may mislead."
        ),
    ),
    FindingCode(
        code="PP071",
        title="no such metric",
        meaning=(
            "Figures name metrics as PROBE.METRIC or SPAN.METRIC. A metric's `warn` judges "
            "the numbers of its own cells."
        ),
    ),
    FindingCode(
        code="PP072",
        title="a metric has no such number",
        meaning=(
            "A count, sum, min, max or avg has a `value`; a histogram has count, below, above"
            " and the percentiles p50, p75, p90, p95, p99, p99_9: PROBE.METRIC.p99."
        ),
    ),
    FindingCode(
        code="PP073",
        title="not a figure",
        meaning=(
            "A derived figure is a number; `warn` and `stop_when` are conditions. They "
            "compute with + - * / // %, comparisons, and, or, not, min, max and total."
        ),
    ),
)
