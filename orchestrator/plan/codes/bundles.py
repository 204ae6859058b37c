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
    FindingCode(
        code="PP244",
        title="a bundle without a program for this host",
        meaning=(
            "A bundle has programs by the digest of their text, and none is of the text that this"
            " host would compile. The finding says what is wanted, and in what the nearest program"
            " there differs: another alternative or mechanism of a probe, another width or length"
            " of a value, other settings, fetching atomics, another release of probeplan."
            " `--backend auto` then tries tracefs."
        ),
        cure=(
            "Record this host (`probeplan facts > HOST.facts.xz`) and add it to the build, with the"
            " `--set` and `--target` that are used here, and `--with-command` for runs with a"
            " command."
        ),
        arises="`run`, `explain`, `doctor` and `lint --kernel` with a FILE.ppb.",
    ),
)
