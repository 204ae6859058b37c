"""Whether a host can run plans: as prepared on recorded kernels, in a few words, and kept."""

import pytest

from orchestrator.plan.findings import Finding
from orchestrator.run import suitability
from orchestrator.run.shipped import shipped_plans
from orchestrator.run.suitability import HostJudge, Suitability, shorten_reason
from tests.support.recorded import recorded


class Kept:
    """Stands in for what is kept on disk."""

    def __init__(self, *_: object) -> None:
        self.verdicts: dict[str, dict] = {}
        self.recall = self.verdicts.get
        self.add = self.verdicts.__setitem__
        self.keep = lambda: None


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> HostJudge:
    monkeypatch.setattr(suitability, "KeptVerdicts", Kept)
    return HostJudge(recorded("6.18-no-kprobes"), ())


def verdict(judge: HostJudge, name: str) -> Suitability:
    file = shipped_plans()[name]
    return judge.judge(file.read_bytes(), str(file))


def test_a_plan_that_can_run_has_its_backend(judge: HostJudge) -> None:
    found = verdict(judge, "opens")
    assert found.can_run
    assert (found.backend, found.reason, found.findings) == ("bcc", "", ())


def test_a_plan_that_cannot_has_the_reason_in_a_few_words_and_in_full(judge: HostJudge) -> None:
    found = verdict(judge, "page-cache")
    assert not found.can_run
    assert found.reason == "this kernel cannot probe functions"
    assert "CONFIG_KPROBES" in found.findings[0].message


def test_a_kept_verdict_is_the_same(judge: HostJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [verdict(judge, name) for name in ("opens", "page-cache")]
    monkeypatch.setattr(judge, "_prepare", None)
    assert [verdict(judge, name) for name in ("opens", "page-cache")] == first


def test_plans_that_probe_files_are_judged_each_time(judge: HostJudge) -> None:
    verdict(judge, "shell-lines")
    assert isinstance(judge._kept, Kept)
    assert judge._kept.verdicts == {}


def test_a_plan_that_is_not_valid_cannot_run(judge: HostJudge) -> None:
    found = judge.judge(b"kind: ProbePlan", "x.yaml")
    assert not found.can_run
    assert found.findings


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ("'f' cannot be probed: no kprobes here: CONFIG_KPROBES", "no kprobes here"),
        ("the bcc backend: bcc is missing: install it", "bcc is missing"),
        ("the policy forbids syscalls\nmore", "the policy forbids syscalls"),
    ],
)
def test_a_reason_is_the_part_that_says_why(message: str, short: str) -> None:
    assert shorten_reason(Finding(code="PP080", message=message)) == short
