"""Finding codes: the file and its YAML."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP001",
        title="cannot be read",
        meaning="The file or directory does not exist, or this user may not read it.",
        cure="Check the path and its permissions.",
        arises=(
            "A path on the command line, or a file in a directory that `lint` walks, cannot"
            " be opened."
        ),
    ),
    FindingCode(
        code="PP002",
        title="too large",
        meaning=(
            "A plan has at most 1 MiB. Larger files are refused without being read to the end."
        ),
        cure="Check that the path names a plan: a plan is a page or two of YAML.",
        arises="The file has more than 1 MiB.",
    ),
    FindingCode(
        code="PP003",
        title="not clean text",
        meaning=(
            "Plans are UTF-8 without a byte order mark, control characters, and characters that"
            " hide or reorder text. U+2028, U+0085 and a carriage return alone end a YAML comment,"
            " and editors show what follows as part of it; bidirectional controls show text in"
            " another order; a character without width hides in a name."
        ),
        cure="Save the file as UTF-8, and remove the character.",
        example=r"""apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: example, summary: "An \u0000 example"}
probes:
  read: {attach: "function:vfs_read", emit: {}}
""",
    ),
    FindingCode(
        code="PP004",
        title="not YAML",
        meaning=(
            "The text is not well-formed YAML. Common causes are tabs, an alias without its"
            " anchor, and text with `: ` or brackets that needs quotes."
        ),
        cure=(
            "Check indentation, quotes and brackets on the line that is named and the one before."
        ),
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {size: retval, who: comm
""",
    ),
    FindingCode(
        code="PP005",
        title="no plan in the file",
        meaning=("A file holds one plan: a mapping that starts with `apiVersion: probeplan/v1`."),
        cure=("Put each plan into a separate file, and start it with `apiVersion: probeplan/v1`."),
        example="""\
apiVersion: probeplan/v1
---
kind: ProbePlan
""",
    ),
    FindingCode(
        code="PP006",
        title="duplicate key",
        meaning=("A mapping has the same key twice. Most YAML readers silently take the last one."),
        cure="Remove one of the two.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: [pid]
    emit: [comm]
""",
    ),
    FindingCode(
        code="PP007",
        title="no value",
        meaning="A key has no value, or null.",
        cure=('Give it a value, or leave the key out to get its default; write "" for empty text.'),
        example="""\
probes:
  read:
    attach: function:vfs_read
    where:
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP008",
        title="silently retyped",
        meaning=(
            "YAML 1.1 reads words such as yes, no, on and off as booleans, and 010, 1:30, "
            "1_000, 1.5 and 2026-01-31 as numbers or dates."
        ),
        cure="Quote the value, or write what you mean: true, 1000, 90s.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    optional: yes
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP009",
        title="YAML feature not allowed",
        meaning=(
            "Merge keys (<<), tags (!x) and keys that are not text are not part of the plan"
            " language."
        ),
        cure="Write the keys out; share expressions with `let`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {1: pid}
""",
    ),
    FindingCode(
        code="PP010",
        title="too deep or too many values",
        meaning=(
            "The document nests more than 24 levels deep, or has more than 20000 values "
            "once its aliases are expanded."
        ),
        cure="Write a flatter plan, or split it.",
        example="""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: [[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]
""",
    ),
    FindingCode(
        code="PP011",
        title="a comma splits an expression",
        meaning=(
            "Inside { } and [ ] YAML ends a value at a comma, so that `{io: (a, b)}` is not"
            " one expression."
        ),
        cure='Quote the expression: {io: "(a, b)"}.',
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {larger: max(arg2, 4096)}
""",
    ),
    FindingCode(
        code="PP012",
        title="no plans in a directory",
        meaning=(
            "The directory holds no YAML file that says `kind: ProbePlan`, so nothing was checked."
        ),
        cure="Name the directory that holds the plans; their names end in .yaml or .yml.",
        arises="`probeplan lint DIRECTORY` finds no plan in it.",
    ),
)
