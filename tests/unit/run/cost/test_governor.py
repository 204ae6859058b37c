"""What the governor decides, from figures alone."""

import time
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.backends.protocol import Artifact, AttachOptions, Counts, Expense, SideCounts
from orchestrator.compile.denied import DENIED
from orchestrator.compile.program import Program
from orchestrator.plan.findings import HostError
from orchestrator.plan.model import Limits
from orchestrator.run.cost import canary as canary_module
from orchestrator.run.cost.budget import (
    ASSUMED_RUN_NS,
    MAX_SAMPLE,
    Cost,
    ProbeCost,
    Runs,
    choose_step,
    measure_cost,
)
from orchestrator.run.cost.canary import run_canary
from orchestrator.run.cost.canary_choice import why_no_canary
from orchestrator.run.cost.governor import LOOK_NS, PULSE_NS, Governor
from orchestrator.run.cost.hot_points import (
    HOT_EVENTS,
    HOT_FUNCTIONS,
    HOT_SYSCALLS,
    HOT_USER_FUNCTIONS,
    find_hot_points,
)
from tests.support.fake_backend import FakeBackend, FakeSession, Script, program


def expense(
    hits: int | None, run_ns: int | None = None, runs: int | None = None, **other: Any
) -> Expense:
    return Expense(
        **{"number": 0, "probes": (0,), "price_ns": 100.0, "calibrated": True, **other},
        hits=hits,
        run_ns=run_ns,
        runs=runs,
    )


def share(probe: int, cost: float, fixed: float, sample: int = 1) -> ProbeCost:
    return ProbeCost(probe=probe, cost=cost, fixed=fixed, sample=sample, hits_s=1000, hit_ns=1)


def cost(*shares: ProbeCost) -> Cost:
    total = sum(one.cost for one in shares)
    return Cost(total=total, shares=shares, calibrated=True, measured=True, complete=True)


def test_a_hit_costs_its_price_and_its_run() -> None:
    """1,000,000 hits in half a second at 100 ns, and 60 ns a run: 32 % of one CPU."""
    before, now = [expense(0, 0, 0)], [expense(1_000_000, 0, 0)]
    found = measure_cost(before, now, 0.5, {0: Runs(60.0, 1)}, {0: 1})
    assert found.total == pytest.approx(0.32)
    assert found.shares[0].fixed == pytest.approx(0.2)
    assert found.shares[0].at(10) == pytest.approx(0.212)


def test_what_is_not_measured_is_assumed_and_said() -> None:
    unknown = measure_cost([expense(0, 0, 0)], [expense(1000, 0, 0)], 1.0, {}, {})
    assert unknown.total == pytest.approx(1000 * (100 + ASSUMED_RUN_NS) / 1e9)
    assert not unknown.measured
    plain = measure_cost([expense(0)], [expense(1000, calibrated=False)], 1.0, {}, {})
    assert plain.total == pytest.approx(1000 * 100 / 1e9)
    assert (plain.measured, plain.calibrated) == (True, False)
    assert not measure_cost([expense(None)], [expense(None)], 1.0, {}, {}).complete


def test_a_place_that_two_probes_share_is_paid_for_by_both() -> None:
    now = [expense(1000, probes=(0, 1))]
    found = measure_cost([expense(0, probes=(0, 1))], now, 1.0, {}, {})
    assert [one.cost for one in found.shares] == [pytest.approx(5e-5)] * 2


def test_what_left_out_events_cost_is_learned_from_two_samplings() -> None:
    """500 ns at N 1 and 95 ns at N 10: 450 ns of work, 50 ns for each event that is left out."""
    runs = Runs(500.0, 1)
    runs.learn(95.0, 10)
    assert runs.base_ns == pytest.approx(50.0)


def test_one_measurement_that_was_disturbed_is_not_believed() -> None:
    """The first at another N reports too much; the next corrects it and what is learned from it."""
    runs = Runs(500.0, 1)
    runs.learn(380.0, 10)
    assert runs.base_ns == pytest.approx(366.7, abs=0.1)
    runs.learn(95.0, 10)
    assert runs.ns == 95.0
    assert runs.base_ns == pytest.approx(50.0)
    runs.learn(400.0, 10)
    assert runs.ns == 95.0
    runs.learn(400.0, 10)
    assert runs.ns == 400.0  # twice in a row: it is so


def test_sampling_is_lowered_as_far_as_needed() -> None:
    """Of the most expensive probe; the projection is under the budget."""
    step = choose_step(cost(share(0, 0.01, 0.001), share(1, 0.05, 0.005)), 0.03)
    assert step is not None
    assert (step.action, step.share.probe) == ("sample", 1)
    assert step.sample is not None
    assert 0.01 + step.share.at(step.sample) <= 0.8 * 0.03


def test_where_sampling_cannot_do_it_the_dearest_probe_goes() -> None:
    """Getting there alone is too expensive; nothing can be sampled; it is as low as it gets."""
    fixed = choose_step(cost(share(0, 0.05, 0.04)), 0.03)
    bound = choose_step(cost(share(0, 0.02, 0.0, 0), share(1, 0.05, 0.05, 0)), 0.03)
    lowest = choose_step(cost(share(0, 0.05, 0.0, MAX_SAMPLE)), 0.03)
    for step, probe in ((fixed, 0), (bound, 1), (lowest, 0)):
        assert step is not None
        assert (step.action, step.share.probe) == ("detach", probe)


# ---------------------------------------------------------------- in time


class Spending(FakeSession):
    """A session whose one probe is hit `rate` times a second; runs take 200 ns of work."""

    def __init__(self) -> None:
        super().__init__(Script())
        self.rate, self.now_s, self.hits, self.sample = 0.0, 0.0, 0.0, 1
        self.on = False
        self.run_ns = self.runs = 0.0
        self.dropped = False

    def to(self, ns: int) -> None:
        seconds = ns / 1e9 - self.now_s
        self.now_s += seconds
        self.hits += self.rate * seconds
        if self.on:
            self.runs += self.rate * seconds
            self.run_ns += self.rate * seconds * 200 / self.sample

    def set_run_time_stats(self, on: bool) -> None:
        self.on = on

    def expenses(self) -> list[Expense]:
        found = [expense(int(self.hits), int(self.run_ns), int(self.runs), price_ns=10.0)]
        return [] if self.dropped else found

    def resample(self, probe: int, every: int) -> None:
        self.sample = every

    def detach_probe(self, probe: int) -> None:
        self.dropped = True


class Records(list[Any]):
    def write_record(self, _event: str, _level: str, **fields: Any) -> None:
        self.append(fields)


def play(session: Spending, budget: float, seconds: float) -> tuple[Records, bool, list[str]]:
    """A governor over so many seconds, until it ends the run."""
    records = Records()
    limited: list[str] = []
    reported = program(Limits(cpu=budget))
    governor = Governor(session, reported, records, limited.append, 0)  # type: ignore[arg-type]  # of Output it needs `record`
    while governor.due_ns < seconds * 1e9:
        now = governor.due_ns
        session.to(now)
        if governor.look(now):
            return records, True, limited
    return records, False, limited


def test_a_burst_of_one_look_is_let_be() -> None:
    """Over the budget once and not far: nothing is done; twice in a row: the first step."""
    session = Spending()
    session.rate = 100_000  # 210 ns a hit: 2.1 %
    records, _, _ = play(session, 0.011, 2 * LOOK_NS / 1e9 - 0.01)
    assert list(records) == []
    session = Spending()
    session.rate = 100_000
    records, ended, limited = play(session, 0.011, 3)
    assert [(one["action"], one["sample_before"]) for one in records] == [("sample", 1)]
    assert records[0]["cost"] == pytest.approx(0.021, rel=0.01)
    assert (ended, limited) == (False, [])


def test_far_over_the_budget_is_answered_at_the_first_look() -> None:
    session = Spending()
    session.rate = 1_000_000
    records, _, _ = play(session, 0.02, (LOOK_NS + PULSE_NS) / 1e9)
    assert [one["action"] for one in records] == ["sample"]


def test_when_nothing_is_left_the_run_ends() -> None:
    session = Spending()
    session.rate = 1_000_000  # getting there alone takes 1 %
    records, ended, limited = play(session, 0.001, 3)
    assert [one["action"] for one in records] == ["detach", "stop"]
    assert (ended, limited) == (True, ["detach", "stop"])


def test_where_run_times_cannot_be_measured_they_are_assumed() -> None:
    """Without CAP_SYS_ADMIN; each step says so."""

    class Refused(Spending):
        def set_run_time_stats(self, on: bool) -> None:
            if on:
                raise PermissionError

    session = Refused()
    session.rate = 1_000_000
    records, _, _ = play(session, 0.05, 1.2)
    assert [(one["action"], one["measured"]) for one in records] == [("sample", False)]


# ---------------------------------------------------------------- the canary


class Counting(Spending):
    """Hit 200,000 times a second, however long a busy host lets the looks be apart; half of it is
    the target's."""

    began = time.monotonic()

    def expenses(self) -> list[Expense]:
        return [expense(int(200_000 * (time.monotonic() - self.began)), 0, 0)]

    def counts(self) -> Counts:
        side = SideCounts(hook=0, side="hit", fired=4, accepted=2, not_target=2)
        return Counts(sides=(side,), emits=(), metrics=())


class Host(FakeBackend):
    """What is attached on it, and how."""

    def attach(self, artifact: Artifact[Any], facts: Any, options: AttachOptions) -> FakeSession:
        self.artifact, self.options = artifact, options
        return Counting()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary_module, "_SECONDS", 0.1)


def sent(cpu: float, sample: int = 1) -> dict[str, Any]:
    """200,000 hits a second: 2 % to get there, and 1.5 % of work for the target's half."""
    return sent_to(Host(), program(Limits(cpu=cpu), sample=sample))


def sent_to(host: Host, reported: Program) -> dict[str, Any]:
    facts: Any = None  # none are asked for
    artifact = host.emit(reported, facts)
    return run_canary(artifact, host, facts, AttachOptions(run_id="test"), lambda: False)


@pytest.mark.usefixtures("quick")
def test_a_plan_that_would_break_its_limit_is_refused_with_what_would_fit() -> None:
    with pytest.raises(HostError) as refused:
        sent(0.03)
    [finding] = refused.value.findings
    assert finding.code == "PP095"
    [sample] = [int(n) for n in finding.hint.split("`sample: 1/")[1].split("`")[:1]]
    assert "limits.cpu: " in finding.hint
    assert sent(0.03, sample)["cost"] <= 0.03


@pytest.mark.usefixtures("quick")
def test_a_plan_that_fits_is_told_what_it_would_cost() -> None:
    reported = sent(0.5)
    assert 0.01 < reported["cost"] < 0.05
    opens = reported["probes"]["opens"]
    assert opens["target_hits_per_s"] == pytest.approx(opens["hits_per_s"] / 2, abs=1)


@pytest.mark.usefixtures("quick")
def test_a_canary_attaches_what_the_run_will_and_only_counts() -> None:
    host, reported = Host(), program(Limits(cpu=0.5))
    sent_to(host, reported)
    assert host.artifact.program is reported
    assert host.options == AttachOptions(run_id="test", counting=True)


def test_a_canary_is_sent_only_where_it_can_learn_something() -> None:
    cold = program(Limits())
    hook = replace(cold.hooks[0], kind="function", symbol="vfs_read")
    hot = replace(cold, probes=(replace(cold.probes[0], hooks=(hook,)),))
    short = replace(hot, limits=Limits(duration_ns=2_000_000_000))
    assert why_no_canary(hot, command=False) is None
    assert find_hot_points(hot) == {hook.label: HOT_FUNCTIONS["vfs_read"]}
    assert why_no_canary(cold, command=False) == "no attach point is known to be hot"
    assert why_no_canary(short, command=False) == "the run is too short for it"
    assert why_no_canary(hot, command=True) == "the command would not have started"


def test_every_entry_of_the_lists_has_its_reason() -> None:
    for table in (DENIED, HOT_EVENTS, HOT_SYSCALLS, HOT_FUNCTIONS, HOT_USER_FUNCTIONS):
        assert all(len(why) > 20 and not why.endswith(".") for why in table.values())
