"""Finding codes: backends."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP110",
        title="this backend cannot do it",
        meaning=(
            "The backend has no way to do what the plan asks; the other backend may have one."
        ),
        cure="Use the other backend.",
        example="""\
probes:
  wake: {attach: "tracepoint:sched:sched_wakeup"}
  run: {attach: "tracepoint:sched:sched_switch"}
spans:
  wait: {start: wake, end: run, key: [cpu], emit: {took: elapsed}}
""",
        command="probeplan explain plan.yaml --backend tracefs --kernel debian:6.1",
    ),
    FindingCode(
        code="PP111",
        title="cannot be written down",
        meaning="tracefs has no spelling for this attach point.",
        cure="Use --backend bcc.",
        example="""\
probes:
  call: {attach: "uprobe:/opt/a,b/lib=x@1.so:do_work", emit: {}}
""",
        command="probeplan explain plan.yaml --backend tracefs --kernel debian:6.1",
    ),
    FindingCode(
        code="PP112",
        title="only in user space",
        meaning=(
            "The backend would evaluate a condition in user space, after the kernel has "
            "recorded every event; `--backend auto` never chooses that."
        ),
        cure="Name --backend tracefs to accept it, or use bcc.",
        arises=(
            "With `--backend auto`, tracefs is considered for a condition that no event "
            "filter can express."
        ),
    ),
    FindingCode(
        code="PP113",
        title="tracefs refused",
        meaning="tracefs is not mounted, or a write to it failed.",
        cure="Mount it: mount -t tracefs tracefs /sys/kernel/tracing.",
        arises="While the tracefs backend attaches.",
    ),
    FindingCode(
        code="PP114",
        title="tracefs refused a filter",
        meaning="The kernel did not accept the filter or trigger of an event.",
        cure="Use --backend bcc, and report the filter.",
        arises="While the tracefs backend attaches.",
    ),
)
