"""Finding codes: expressions."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP020",
        title="cannot parse an expression",
        meaning="Expressions follow Python's syntax: `and`, `or`, `not`, `==`, `A if C else B`.",
    ),
    FindingCode(
        code="PP021",
        title="not part of the expression language",
        meaning=(
            "It is Python, but expressions allow only names, members, constants, comparisons,"
            " logic, arithmetic, `in (…)`, conditionals and builtin functions."
        ),
    ),
    FindingCode(
        code="PP022",
        title="unknown name",
        meaning=(
            "A name is a builtin, an own `let`, a unit (ms, KiB) or an UPPER_CASE constant. "
            "Arguments are `args.NAME`, params `params.NAME`."
        ),
    ),
    FindingCode(
        code="PP023",
        title="unknown function",
        meaning="Only the language's builtin functions can be called.",
    ),
    FindingCode(
        code="PP024",
        title="wrong number of arguments",
        meaning="The function takes another number of arguments.",
    ),
    FindingCode(
        code="PP025",
        title="a definition leans on itself",
        meaning="Definitions under `let` may use each other, but not in a circle.",
    ),
    FindingCode(
        code="PP026",
        title="`/` outside derive",
        meaning="Kernels compute with whole numbers: use `//`. Ratios belong under `derive`.",
    ),
    FindingCode(
        code="PP027",
        title="no return here",
        meaning=(
            "`retval` needs an attach kind that sees the return, `elapsed` one that sees "
            "entry and return: function, ufunction, syscall."
        ),
    ),
    FindingCode(
        code="PP028",
        title="no task here",
        meaning="The probe says `task: none`, so names such as pid and comm mean nothing at it.",
    ),
    FindingCode(
        code="PP029",
        title="no task has such a name",
        meaning=(
            "The kernel keeps 15 bytes of a task's name, so comparing with a longer text "
            "never holds."
        ),
    ),
)
