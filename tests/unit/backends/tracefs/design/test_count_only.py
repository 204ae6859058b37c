"""What a canary attaches by tracefs: hits, and nothing that is done with them."""

from orchestrator.backends.tracefs.design.count_only import count_only
from tests.support.fake_backend import program


def test_a_canary_only_counts() -> None:
    lean = count_only(program(sample=5))
    assert (lean.emits, lean.metrics) == ((), ())
    assert [hook.body.emit for hook in lean.hooks] == [()]
    assert lean.probes[0].sample == 1
