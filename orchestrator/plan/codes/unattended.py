"""Finding codes: unattended runs."""

from orchestrator.plan.codes.finding_code import FindingCode

CODES: tuple[FindingCode, ...] = (
    FindingCode(
        code="PP260",
        title="a plan that has expired",
        meaning=(
            "The unattended run was to be made until the moment that --expires names, which is over"
            " by this host's clock: a plan that was rolled out once does not run for ever."
        ),
        cure="Roll it out again with a later date; set the clock if that is wrong.",
        arises="`run --unattended --expires`.",
    ),
    FindingCode(
        code="PP262",
        title="state that cannot be kept",
        meaning=(
            "Unattended runs keep their results, and what they know of plans that harmed this host,"
            " in /var/lib/probeplan. It cannot be made, read or written to, the disk is full, or"
            " another user can write to it. Without it no run is made."
        ),
        cure="Run as root; free some space; make the directory root's alone.",
        arises="`run --unattended`, `quarantine`, `status`, `doctor`.",
    ),
)
