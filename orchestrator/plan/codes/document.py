"""Finding codes: the file and its YAML."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP001",
        title="cannot be read",
        meaning="The file or directory does not exist, or may not be read by this user.",
    ),
    FindingCode(
        code="PP002",
        title="too large",
        meaning=(
            "A plan has at most 1 MiB. Larger files are refused without reading them to the end."
        ),
    ),
    FindingCode(
        code="PP003",
        title="not clean text",
        meaning="Plans are UTF-8 without a byte order mark and without control characters.",
    ),
    FindingCode(
        code="PP004",
        title="not YAML",
        meaning=(
            "The text is not well-formed YAML. Common causes are tabs, text with `: ` or "
            "brackets that needs quotes, and an alias without its anchor."
        ),
    ),
    FindingCode(
        code="PP005",
        title="no plan in the file",
        meaning="A file holds one plan: a mapping that starts with `apiVersion: probeplan/v1`.",
    ),
    FindingCode(
        code="PP006",
        title="duplicate key",
        meaning="A key stands twice in one mapping. Most YAML readers silently take the last one.",
    ),
    FindingCode(
        code="PP007",
        title="no value",
        meaning="A key without a value, or null. Leave the key out to get its default.",
    ),
    FindingCode(
        code="PP008",
        title="silently retyped",
        meaning=(
            "YAML 1.1 reads words such as yes, no, on and off as booleans, and 010, 1:30, "
            "1_000, 1.5 and 2026-01-31 as numbers or dates. Quote them, or write what you "
            "mean."
        ),
    ),
    FindingCode(
        code="PP009",
        title="YAML feature not allowed",
        meaning="Merge keys (<<), tags (!x), and keys that are not text have no place in a plan.",
    ),
    FindingCode(
        code="PP010",
        title="too deep or too many values",
        meaning=(
            "The document nests too deeply or has too many values once its aliases are expanded."
        ),
    ),
    FindingCode(
        code="PP011",
        title="a comma splits an expression",
        meaning=(
            "Inside { } and [ ] YAML ends a value at a comma, so that `{io: (a, b)}` is not "
            'one expression. Quote it: {io: "(a, b)"}.'
        ),
    ),
    FindingCode(
        code="PP012",
        title="no plans in a directory",
        meaning=(
            "The directory holds no YAML file that says `kind: ProbePlan`, so nothing was checked."
        ),
    ),
)
