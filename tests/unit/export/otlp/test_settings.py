"""OTEL_* variables: what they mean, and what is said about a wrong one."""

from pathlib import Path

import pytest

from orchestrator.export.otlp.settings import OtlpSettingsError, hide_password, read_settings

BASE = "OTEL_EXPORTER_OTLP_"


def test_without_variables_a_collector_on_this_host_is_taken() -> None:
    """As the specification says."""
    settings = read_settings({})
    assert settings.metrics is not None
    assert settings.logs is not None
    assert settings.metrics.url == "http://localhost:4318/v1/metrics"
    assert settings.logs.url == "http://localhost:4318/v1/logs"
    assert (settings.metrics.timeout_s, settings.interval_s) == (10, None)


def test_a_base_endpoint_gets_the_paths_and_one_of_a_signal_is_taken_as_it_is() -> None:
    """OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_METRICS_ENDPOINT differ in that."""
    settings = read_settings(
        {f"{BASE}ENDPOINT": "https://otel:4318/in/", f"{BASE}METRICS_ENDPOINT": "http://vm:8428/m"}
    )
    assert settings.metrics is not None
    assert settings.logs is not None
    assert settings.metrics.url == "http://vm:8428/m"
    assert settings.logs.url == "https://otel:4318/in/v1/logs"


def test_timeout_and_interval_are_read_and_the_signals_own_comes_first() -> None:
    """Timeouts in seconds, the interval in ms."""
    settings = read_settings(
        {
            f"{BASE}TIMEOUT": "3",
            f"{BASE}LOGS_TIMEOUT": "0.5",
            "OTEL_METRIC_EXPORT_INTERVAL": "1500",
        }
    )
    assert settings.metrics is not None
    assert settings.logs is not None
    assert (settings.metrics.timeout_s, settings.logs.timeout_s) == (3, 0.5)
    assert settings.interval_s == 1.5


def test_a_signal_is_switched_off_by_none() -> None:
    """As for a server that takes no logs."""
    assert read_settings({"OTEL_LOGS_EXPORTER": "none"}).logs is None
    assert read_settings({"OTEL_METRICS_EXPORTER": "none"}).metrics is None
    with pytest.raises(OtlpSettingsError, match="nothing to send"):
        read_settings({"OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"})


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        (f"{BASE}ENDPOINT", "collector:4318", "does not begin with http:// or https://"),
        (f"{BASE}ENDPOINT", "http://", "names no host"),
        (f"{BASE}METRICS_ENDPOINT", "http://host:99999/", "is not a URL"),
        (f"{BASE}ENDPOINT", "http://host:0", "names port 0"),
        (f"{BASE}PROTOCOL", "grpc", "speaks http/protobuf only"),
        (f"{BASE}METRICS_PROTOCOL", "http/json", "speaks http/protobuf only"),
        (f"{BASE}COMPRESSION", "zstd", "none, gzip, deflate"),
        (f"{BASE}TIMEOUT", "soon", "not a number above 0"),
        (f"{BASE}TIMEOUT", "-1", "not a number above 0"),
        (f"{BASE}TIMEOUT", "nan", "not a number above 0"),
        (f"{BASE}TIMEOUT", "10000", "give seconds"),
        (f"{BASE}CERTIFICATE", "/nowhere/ca.pem", "No such file"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "not a number above 0"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "use otlp or none"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_a_cure(
    variable: str, value: str, text: str
) -> None:
    """Nothing is sent elsewhere because of it."""
    with pytest.raises(OtlpSettingsError) as caught:
        read_settings({variable: value})
    message = str(caught.value)
    assert message.startswith(f"{variable}={value} ")
    assert text in message
    assert ": " in message


def test_headers_are_not_shown() -> None:
    """They hold tokens: the message names the variable and which part."""
    with pytest.raises(OtlpSettingsError) as caught:
        read_settings({f"{BASE}HEADERS": "x-tenant=a,secret-token"})
    assert str(caught.value).startswith(f"{BASE}HEADERS: part 2 is not name=value")
    assert "secret" not in str(caught.value)


def test_passwords_in_urls_are_not_shown() -> None:
    """Neither in messages of exports nor in those about the variable."""
    assert hide_password("http://user:secret@host:1/v1") == "http://host:1/v1"
    assert hide_password("http://host/a@b") == "http://host/a@b"
    with pytest.raises(OtlpSettingsError) as caught:
        read_settings({f"{BASE}ENDPOINT": "ftp://user:secret@host"})
    assert "secret" not in str(caught.value)


def test_certificates_that_can_be_read_and_empty_variables_are_fine(tmp_path: Path) -> None:
    """An empty variable counts as unset, as in unit files with a default."""
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    settings = read_settings(
        {f"{BASE}CERTIFICATE": str(file), f"{BASE}ENDPOINT": " ", f"{BASE}TIMEOUT": ""}
    )
    assert settings.metrics is not None
    assert settings.metrics.url.startswith("http://localhost:4318")
