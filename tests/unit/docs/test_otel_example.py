"""The drop-in in examples/otel: systemd accepts it, and the export its variables."""

import re
from pathlib import Path

import pytest

from orchestrator.export.otlp.settings import read_settings
from tests.support.paths import ROOT
from tests.support.units import copy_units, verify_instance

TEXT = (ROOT / "examples" / "otel" / "otlp.conf").read_text()
UNCOMMENTED = re.sub(r"^#(?=Environment)", "", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("text", [TEXT, UNCOMMENTED], ids=["as it is", "all lines"])
def test_systemd_accepts_the_drop_in(text: str, tmp_path: Path) -> None:
    """For the exporter of one plan; the file of the token need not be there."""
    text = text.replace("EnvironmentFile=/", "EnvironmentFile=-/")
    copy_units(tmp_path, {"probeplan-export@opens.service.d/otlp.conf": text})
    assert verify_instance(tmp_path, "probeplan-export@.service", "opens") == (0, "")


@pytest.mark.parametrize("text", [TEXT, UNCOMMENTED], ids=["as it is", "all lines"])
def test_its_variables_are_ones_that_the_export_takes(text: str) -> None:
    """The endpoint goes where the example says; with all lines, no logs are sent."""
    variables = dict(re.findall(r"^Environment=(OTEL_\w+)=(\S+)$", text, re.MULTILINE))
    settings = read_settings(variables)
    assert settings.metrics is not None
    if text == TEXT:
        assert settings.metrics.url == "http://collector.example:4318/v1/metrics"
        assert settings.logs is not None
    else:
        assert settings.metrics.url.endswith(":8428/opentelemetry/v1/metrics")
        assert settings.logs is None
    assert variables["OTEL_EXPORTER_OTLP_COMPRESSION"] == "gzip"
    assert 'Environment="EXPORT_OPTIONS=--otlp"' in text
