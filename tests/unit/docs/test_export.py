"""docs/export.md and the alerts in examples/prometheus name the families that there are."""

import re

from orchestrator.export.own_families import OWN_FAMILIES
from orchestrator.export.prometheus.listening import DEFAULT_ADDRESS
from tests.support.paths import ROOT
from tests.unit.docs.pages import DOCS, rows, section

PAGE = (DOCS / "export.md").read_text()
#: As Prometheus has them.
SHOWN = {
    f"{family.name}_total" if family.kind == "counter" else family.name: family
    for family in OWN_FAMILIES.values()
}


def test_the_page_has_every_family_with_its_type_and_meaning() -> None:
    listed = [(row[0], row[1], row[3]) for row in rows(section(PAGE, "## Always there"))]
    assert listed == [(f"`{name}`", family.kind, family.help) for name, family in SHOWN.items()]


def test_alerts_are_about_families_and_labels_that_there_are() -> None:
    labels = {
        name.strip("`"): re.findall(r"\w+", of_family)
        for name, _kind, of_family, _help in rows(section(PAGE, "## Always there"))
    }
    text = (ROOT / "examples/prometheus/probeplan.rules.yaml").read_text()
    found = re.findall(r"expr: (.*)", text)
    assert len(found) == 9
    for expression in found:
        [family] = re.findall(r"probeplan_\w+", expression)
        used = re.findall(r"by \(([^)]*)\)|(\w+)=\"", expression)
        names = {name for pair in used for text in pair for name in re.findall(r"\w+", text)}
        assert names - {"instance"} <= set(labels[family])


def test_the_page_and_the_example_name_the_port() -> None:
    assert DEFAULT_ADDRESS.rpartition(":")[2] in PAGE
    assert DEFAULT_ADDRESS in (ROOT / "examples/prometheus/prometheus.yaml").read_text()
