"""The alerts of examples/prometheus, judged by Prometheus's own tool."""

from tests.support.paths import ROOT
from tests.support.prometheus import run_promtool

EXAMPLES = ROOT / "examples" / "prometheus"


def test_the_rules_are_valid_and_fire_for_what_they_say() -> None:
    for words in (("check", "rules"), ("test", "rules")):
        name = "probeplan.rules.yaml" if words[0] == "check" else "probeplan.tests.yaml"
        checked = run_promtool(*words, EXAMPLES / name)
        assert checked.returncode == 0, checked.stderr
        assert "SUCCESS" in checked.stdout


def test_the_configuration_is_valid() -> None:
    checked = run_promtool("check", "config", EXAMPLES / "prometheus.yaml")
    assert checked.returncode == 0, checked.stderr
