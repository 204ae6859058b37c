"""Finding codes: expressions."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP020",
        title="cannot parse an expression",
        meaning=("Expressions follow Python's syntax: `and`, `or`, `not`, `==`, `A if C else B`."),
        cure="Write the operators as Python does; multiply by units: `10*ms`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: elapsed > 10ms
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP021",
        title="not part of the expression language",
        meaning=(
            "It is valid Python, but expressions allow only names, members, `x[i]`, constants, "
            "comparisons, logic, arithmetic, `in (…)`, conditionals and calls of builtin "
            "functions."
        ),
        cure="Use a builtin function, or several definitions under `let`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: comm.startswith("ssh")
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP022",
        title="unknown name",
        meaning=(
            "A name is a builtin, a definition under `let`, a unit (ms, KiB) or an "
            "UPPER_CASE constant. Arguments are `args.NAME`, params `params.NAME`."
        ),
        cure="Correct the spelling, or define the name under `let`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: retvall < 0
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP023",
        title="unknown function",
        meaning="Only the language's builtin functions can be called.",
        cure="Use one of the functions that the hint lists.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {name: string(arg0)}
""",
    ),
    FindingCode(
        code="PP024",
        title="wrong number of arguments",
        meaning="The function takes another number of arguments.",
        cure="Pass as many arguments as the message says.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {most: max(retval)}
""",
    ),
    FindingCode(
        code="PP025",
        title="a definition refers to itself",
        meaning=(
            "Definitions under `let`, and figures under `derive`, may use each other, but "
            "not in a circle."
        ),
        cure="Define one of them without the others.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    let: {a: b + 1, b: a + 1}
    emit: {a: a}
""",
    ),
    FindingCode(
        code="PP026",
        title="`/` outside derive",
        meaning=(
            "Kernel programs compute with whole numbers, so that `/` is allowed under "
            "`derive` only."
        ),
        cure="Use `//`, or compute the ratio under `derive`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    emit: {pages: retval / 4096}
""",
    ),
    FindingCode(
        code="PP027",
        title="no return here",
        meaning=(
            "`retval` needs an attach kind that fires at the return; `elapsed` needs one "
            "that sees entry and return: function, ufunction, syscall."
        ),
        cure="Use another attach kind, or leave the name out.",
        example="""\
probes:
  read:
    attach: entry:vfs_read
    emit: [retval]
""",
    ),
    FindingCode(
        code="PP028",
        title="no task here",
        meaning=(
            "The probe says `task: none`, so that pid, comm and other names of a task mean "
            "nothing there."
        ),
        cure="Leave the name out, or name the task: `task: EXPR`.",
        example="""\
probes:
  switch:
    attach: tracepoint:sched:sched_switch
    task: none
    emit: [pid]
""",
    ),
    FindingCode(
        code="PP029",
        title="no task has such a name",
        meaning=(
            "The kernel keeps 15 bytes of a task's name, so that comparing it with a longer"
            " text is never true."
        ),
        cure="Compare with the first 15 bytes, or use `startswith(comm, …)`.",
        example="""\
probes:
  read:
    attach: function:vfs_read
    where: comm == "gnome-terminal-server"
    emit: [pid]
""",
    ),
)
