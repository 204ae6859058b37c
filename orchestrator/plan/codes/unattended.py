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
        code="PP261",
        title="a plan in quarantine on this host",
        meaning=(
            "An unattended run of this plan, in this version, was stopped by limits.cpu or by the"
            " canary, or the kernel's verifier refused its program, or the host went down while it"
            " ran. For 24 h no unattended run of it is made on this host; runs without --unattended"
            " are only warned."
        ),
        cure=(
            "Find out why, and change the plan: another version is another plan. `probeplan"
            " quarantine lift PLAN` lets it run again as it is."
        ),
        arises="`run --unattended`.",
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
