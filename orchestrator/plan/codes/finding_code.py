"""What `lint --explain CODE` prints of a finding's code."""

from orchestrator.values import dataclass

__all__ = ["EXAMPLE_HEAD", "FindingCode"]

#: How every example begins that does not show the file itself.
EXAMPLE_HEAD = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: example, summary: An example}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCode:
    """A code that a finding can carry: its title, what it means and how to cure it.

    `example` is a plan.yaml that triggers it, without EXAMPLE_HEAD unless it begins with
    `apiVersion`, with `policy` as its policy.yaml; `command` shows the finding (kernels are
    shipped profiles). Where no plan alone can trigger it, `example`
    is empty and `arises` says how it comes about.
    """

    code: str
    title: str
    meaning: str
    cure: str = ""
    example: str = ""
    policy: str = ""
    command: str = "probeplan lint plan.yaml"
    arises: str = ""

    @property
    def plan(self) -> str:
        """The whole example as a plan file."""
        whole = self.example.startswith("apiVersion")
        return self.example if whole or not self.example else EXAMPLE_HEAD + self.example
