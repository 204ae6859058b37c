"""Every code that a finding can carry: its title and its meaning (`lint --explain` prints them)."""

from collections.abc import Mapping

#: code → (title, explanation)
CODES: Mapping[str, tuple[str, str]] = {
    # ------------------------------------------------------------ the file
    "PP001": (
        "cannot be read",
        "The file or directory does not exist, or may not be read by this user.",
    ),
    "PP002": (
        "too large",
        "A plan has at most 1 MiB. Larger files are refused without reading them to the end.",
    ),
    "PP003": (
        "not clean text",
        "Plans are UTF-8 without a byte order mark and without control characters.",
    ),
    "PP004": (
        "not YAML",
        "The text is not well-formed YAML. Common causes are tabs, text with `: ` or brackets that "
        "needs quotes, and an alias without its anchor.",
    ),
    "PP005": (
        "no plan in the file",
        "A file holds one plan: a mapping that starts with `apiVersion: probeplan/v1`.",
    ),
    "PP006": (
        "duplicate key",
        "A key stands twice in one mapping. Most YAML readers silently take the last one.",
    ),
    "PP007": (
        "no value",
        "A key without a value, or null. Leave the key out to get its default.",
    ),
    "PP008": (
        "silently retyped",
        "YAML 1.1 reads words such as yes, no, on and off as booleans, and 010, 1:30, 1_000, 1.5 "
        "and 2026-01-31 as numbers or dates. Quote them, or write what you mean.",
    ),
    "PP009": (
        "YAML feature not allowed",
        "Merge keys (<<), tags (!x), and keys that are not text have no place in a plan.",
    ),
    "PP010": (
        "too deep or too many values",
        "The document nests too deeply or has too many values once its aliases are expanded.",
    ),
    "PP011": (
        "a comma splits an expression",
        "Inside { } and [ ] YAML ends a value at a comma, so that `{io: (a, b)}` is not one "
        'expression. Quote it: {io: "(a, b)"}.',
    ),
    "PP012": (
        "no plans in a directory",
        "The directory holds no YAML file that says `kind: ProbePlan`, so nothing was checked.",
    ),
    # ------------------------------------------------------------ expressions
    "PP020": (
        "cannot parse an expression",
        "Expressions follow Python's syntax: `and`, `or`, `not`, `==`, `A if C else B`.",
    ),
    "PP021": (
        "not part of the expression language",
        "It is Python, but expressions allow only names, members, constants, comparisons, logic, "
        "arithmetic, `in (…)`, conditionals and builtin functions.",
    ),
    "PP022": (
        "unknown name",
        "A name is a builtin, an own `let`, a unit (ms, KiB) or an UPPER_CASE constant. Arguments "
        "are `args.NAME`, params `params.NAME`.",
    ),
    "PP023": ("unknown function", "Only the language's builtin functions can be called."),
    "PP024": (
        "wrong number of arguments",
        "The function takes another number of arguments.",
    ),
    "PP025": (
        "a definition leans on itself",
        "Definitions under `let` may use each other, but not in a circle.",
    ),
    "PP026": (
        "`/` outside derive",
        "Kernels compute with whole numbers: use `//`. Ratios belong under `derive`.",
    ),
    "PP027": (
        "no return here",
        "`retval` needs an attach kind that sees the return, `elapsed` one that sees entry and "
        "return: function, ufunction, syscall.",
    ),
    "PP028": (
        "no task here",
        "The probe says `task: none`, so names such as pid and comm mean nothing at it.",
    ),
    "PP029": (
        "no task has such a name",
        "The kernel keeps 15 bytes of a task's name, so comparing with a longer text never holds.",
    ),
    # ------------------------------------------------------------ the schema
    "PP030": ("unknown key", "The plan language has no such key at this place."),
    "PP031": ("missing key", "A required key is not there."),
    "PP032": ("wrong type", "The value is of another type than this key takes."),
    "PP033": ("not one of the allowed values", "The key takes one of a few words."),
    "PP034": (
        "wrong form",
        "The value does not have the form, length or size that this key takes.",
    ),
    "PP035": (
        "another language",
        "The document says that it is not a plan, or in a version that this program does not read.",
    ),
    "PP036": (
        "a newer language is required",
        "`metadata.requires` names a release of the language that this program does not speak.",
    ),
    # ------------------------------------------------------------ quantities
    "PP040": (
        "unreadable quantity",
        "Durations are written 30s or 1m30s, sizes 32MiB, counts 10k, rates 1k/s, ratios 1/10.",
    ),
    "PP041": ("quantity out of range", "The value can be read but makes no sense here."),
    # ------------------------------------------------------------ the plan
    "PP050": (
        "not exactly one attach",
        "A probe has exactly one of attach, attach_first and attach_all.",
    ),
    "PP051": ("unknown attach kind", "An attach point is KIND:TARGET, e.g. function:vfs_read."),
    "PP052": (
        "bad attach target",
        "Targets are checked strictly by kind, since they reach the kernel: symbols, paths and "
        "event names with the characters of such names only.",
    ),
    "PP053": ("a probe does nothing", "A probe needs emit, metrics, or a span that uses it."),
    "PP054": (
        "not exactly one aggregate",
        "A metric has exactly one of count, sum, min, max, avg and histogram.",
    ),
    "PP055": (
        "unknown name in by",
        "`by` lists builtins, own definitions and arguments (args.NAME).",
    ),
    "PP056": ("buckets without a histogram", "Only histograms have buckets."),
    "PP057": (
        "two fields of one name",
        "The list form of `emit` takes the last part of each name as the field's name.",
    ),
    "PP058": (
        "a word of the language as a name",
        "Words such as `if`, `in` and `not` cannot be used as names in expressions.",
    ),
    "PP060": (
        "bad target",
        "Process and user ids are numbers, task names have at most 15 bytes, and cgroups are paths "
        "below the cgroup v2 mount.",
    ),
    "PP061": (
        "sampling at the end of a span",
        "Sampling is decided where a span starts; its ends must see every event.",
    ),
    "PP062": (
        "a span does not fit its probes",
        "A span or something outstanding names a probe that is not there, has a probe's name, or "
        "has a key that one of its probes cannot say.",
    ),
    "PP063": (
        "one probe in two roles",
        "A probe starts a span or ends it. Two probes at one attach point can do both: they are "
        "one program, and ends come before starts.",
    ),
    "PP064": (
        "interpolation out of place",
        "$(params.NAME) is filled in under attach, by and target only.",
    ),
    "PP065": (
        "a param cannot be used so",
        "There is no such param, or its type does not fit this place.",
    ),
    "PP066": ("a param does not agree with itself", "Type, default, choices, min or max clash."),
    "PP067": (
        "bad override on the command line",
        "--set, --target or --limit names something unknown or a value that does not fit.",
    ),
    "PP068": ("a param has no value", "It has no default and must be given with --set."),
    "PP070": (
        "a definition hides a builtin",
        "An own definition wins over a builtin of the same name. It works, but may mislead.",
    ),
    "PP071": (
        "no such metric",
        "Figures name metrics as PROBE.METRIC or SPAN.METRIC. A metric's `warn` judges the numbers "
        "of its own cells.",
    ),
    "PP072": (
        "a metric has no such number",
        "A count, sum, min, max or avg has a `value`; a histogram has count, below, above and the "
        "percentiles p50, p75, p90, p95, p99, p99_9: PROBE.METRIC.p99.",
    ),
    "PP073": (
        "not a figure",
        "A derived figure is a number; `warn` and `stop_when` are conditions. They compute with "
        "+ - * / // %, comparisons, and, or, not, min, max and total.",
    ),
    # ------------------------------------------------------------ on a kernel
    "PP080": (
        "not offered by this kernel",
        "The symbol, event or attach point does not exist on the kernel at hand.",
    ),
    "PP081": ("must not be probed", "The function is known to be unsafe to probe, or denied."),
    "PP082": (
        "no such type or member",
        "The kernel's type information has no such type or member. `either(a, b)` names choices.",
    ),
    "PP083": ("no type information", "The kernel offers no BTF, which this expression needs."),
    "PP084": ("a value of the wrong type", "The operand does not have the type that is needed."),
    "PP085": (
        "units do not fit",
        "Durations, sizes and plain numbers do not mix: multiply by a unit, e.g. 10*ms.",
    ),
    "PP086": ("a string out of bounds", "A string or pattern is longer or wider than is possible."),
    "PP087": ("a name without meaning here", "The name is not known at this attach point."),
    "PP088": (
        "nothing of that kind here",
        "This attach point has no such argument, return value, elapsed time or task.",
    ),
    "PP089": ("this host cannot do it", "The host lacks what the attach point needs."),
    "PP090": (
        "one field, two types",
        "Over all attach points of a probe a field must have one type; use cast().",
    ),
    "PP091": ("too much memory", "Maps and buffers need more than limits.memory on this host."),
    "PP092": ("cannot be started", "Something that the run needs is not given or cannot start."),
    "PP093": ("the run cannot go on", "Something that the run depends on failed on this host."),
    # ------------------------------------------------------------ backends
    "PP094": ("too many attach points", "The plan attaches to more places than limits.probes."),
    "PP095": (
        "too costly here",
        "In a second's count the plan's attach points were hit so often that it would break "
        "limits.cpu.",
    ),
    "PP110": (
        "this backend cannot do it",
        "The backend has no way to do what the plan asks; the other one may.",
    ),
    "PP111": ("cannot be written down", "The backend has no spelling for this attach point."),
    "PP112": (
        "only in user space",
        "The backend would move a condition out of the kernel, which `auto` never does.",
    ),
    "PP113": ("tracefs refused", "tracefs is not mounted, or a write to it failed."),
    "PP114": ("tracefs refused a filter", "The kernel did not take an event's filter or trigger."),
    # ------------------------------------------------------------ policy
    "PP120": (
        "a policy that cannot be trusted",
        "/etc/probeplan/policy.yaml cannot be read, or others than root may have written it. While "
        "that is so nothing runs.",
    ),
    "PP121": ("a kind that is not allowed", "The host's policy has allow_kinds or deny_kinds."),
    "PP122": (
        "a symbol that is not allowed",
        "The host's policy has allow_symbols or deny_symbols.",
    ),
    "PP123": (
        "a plan that is not allowed",
        "The host's policy has `plans`: digests of the files that may run, byte for byte.",
    ),
    "PP124": (
        "user memory that may not be read",
        "The host's policy has `user_strings`, and the plan would read what it protects.",
    ),
    "PP125": ("too many runs at a time", "The host's policy has max_runs."),
    "PP126": ("a backend that is not allowed", "The host's policy has allow_backends."),
    "PP127": (
        "above a ceiling",
        "A limit of the plan is above the policy's. The run gets the policy's.",
    ),
}
