"""Variables of booted kernels, whose addresses change with each boot."""

import pytest

from tests.guest.symbols.test_stacks import PREPARE, RUN, ran_in
from tests.support.guest_cases import CaseResult

N = 50
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest-variables, summary: for tests, requires: "1.1"}
limits: {duration: 1m, events: 10k, rate: 10k/s, cpu: 100%}
probes:
  call:
    attach: syscall:read
    where: args.count == 4093
    emit:
      banner: str(symbol("linux_banner"), 14)
      here: cpu
      own: cast(symbol("runqueues", cpu), "struct rq").cpu
      first: cast(symbol("runqueues", 0), "struct rq").cpu
      load: load(u64, symbol("avenrun")) // 2048
"""


@pytest.mark.guest(RUN, prepare=PREPARE, plan=PLAN, backend="bcc", argv=["read", str(N)], lacks=[])
def test_variables_are_read_at_the_addresses_of_this_boot(guest: CaseResult) -> None:
    """The program was compiled without an address. A CPU's own run queue has its number."""
    records = ran_in(guest).data("call")
    assert len(records) == N
    for record in records:
        assert record["banner"] == "Linux version"
        assert record["own"] == record["here"]
        assert record["first"] == 0
        assert 0 <= record["load"] < 1000
