"""Finding codes: bundles."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP240",
        title="a bundle that cannot be read",
        meaning=(
            "The file is not a bundle, or it is damaged: cut short, with bytes after its end,"
            " larger than any bundle, without a value that belongs there, or with a place for a"
            " number where the instructions have none. Nothing of it is used."
        ),
        cure="Copy it again, or build it again.",
        arises="`run`, `explain`, `lint` and `doctor` with a FILE.ppb.",
    ),
    FindingCode(
        code="PP241",
        title="a bundle that was changed",
        meaning=(
            "The digest of the part that the finding names (the plan, a program, the head) is not"
            " that of the bytes that are there: they were changed after the bundle was built."
        ),
        cure="Copy it again, or build it again.",
        arises="`run`, `explain`, `lint` and `doctor` with a FILE.ppb.",
    ),
    FindingCode(
        code="PP242",
        title="a bundle of a newer probeplan",
        meaning=(
            "A newer release built the bundle. The programs in it belong to texts that this release"
            " may not make, or the file has parts that it does not know."
        ),
        cure="Install the newer release, or build the bundle with the one that the hosts have.",
        arises="`run`, `explain`, `lint` and `doctor` with a FILE.ppb.",
    ),
    FindingCode(
        code="PP243",
        title="a bundle that is not for this host or time",
        meaning=(
            "The bundle has expired, or this host's clock is before the time at which it was built,"
            " or its programs are for another architecture."
        ),
        cure="Build it again from facts of this host; set the clock.",
        arises="`run` and `doctor` with a FILE.ppb.",
    ),
)
