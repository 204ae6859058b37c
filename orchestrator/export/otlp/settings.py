"""Where OTLP goes, by the OTEL_* variables that all exporters read.

The exporter library takes a wrong value for another one, or fails at the first export with the
text of a lower layer. Here each one is checked at the start and named.
Meanings: opentelemetry.io, "OTLP Exporter Configuration". As in all exporters in Python, timeouts
are in seconds, where that page has ms.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from orchestrator.values import dataclass

__all__ = [
    "OtlpSettings",
    "OtlpSettingsError",
    "SignalSettings",
    "hide_password",
    "read_settings",
]

_BASE = "OTEL_EXPORTER_OTLP_"
_DEFAULT_BASE = "http://localhost:4318"
_DEFAULT_TIMEOUT_S, _MOST_TIMEOUT_S = 10.0, 600.0
_COMPRESSIONS = ("none", "gzip", "deflate")
_PROTOCOL = "http/protobuf"
_FILES = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")


class OtlpSettingsError(Exception):
    """A variable has a value that cannot be used; the text names both, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSettings:
    """Where one signal goes, and how many seconds one export may take with all its attempts."""

    url: str
    timeout_s: float

    @property
    def shown_url(self) -> str:
        """The URL for people: without a user and a password."""
        return hide_password(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpSettings:
    """Both signals (None: it is not sent; one of them is), and the seconds between two exports of
    metrics (None: the variables do not say)."""

    metrics: SignalSettings | None
    logs: SignalSettings | None
    interval_s: float | None


def read_settings(environ: Mapping[str, str]) -> OtlpSettings:
    """The settings by the variables `environ`. Headers, compression and certificates are checked
    here, and read by the exporter. Raises OtlpSettingsError."""
    metrics, logs = _read_signal(environ, "METRICS"), _read_signal(environ, "LOGS")
    if metrics is None and logs is None:
        chosen = "OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER are both none"
        raise OtlpSettingsError(f"{chosen}: there is nothing to send by OTLP; unset one")
    return OtlpSettings(metrics=metrics, logs=logs, interval_s=_read_interval(environ))


def hide_password(url: str) -> str:
    """The URL for people: without a user and a password."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _read_signal(environ: Mapping[str, str], signal: str) -> SignalSettings | None:
    variable = f"OTEL_{signal}_EXPORTER"
    chosen = environ.get(variable, "").strip() or "otlp"
    if chosen == "none":
        return None
    if chosen != "otlp":
        _fail(variable, chosen, "is not an exporter of probeplan", "use otlp or none")
    _check_words(environ, signal)
    _check_headers(environ, signal)
    _check_files(environ, signal)
    url, timeout_s = _find_url(environ, signal), _read_timeout(environ, signal)
    return SignalSettings(url=url, timeout_s=timeout_s)


def _find(environ: Mapping[str, str], signal: str, name: str) -> tuple[str, str]:
    """The variable that holds for a signal, and its value; an empty one counts as unset."""
    for variable in (f"{_BASE}{signal}_{name}", f"{_BASE}{name}"):
        if value := environ.get(variable, "").strip():
            return variable, value
    return f"{_BASE}{name}", ""


def _find_url(environ: Mapping[str, str], signal: str) -> str:
    own, base = f"{_BASE}{signal}_ENDPOINT", f"{_BASE}ENDPOINT"
    if url := environ.get(own, "").strip():
        return _check_url(own, url)
    url = _check_url(base, environ.get(base, "").strip() or _DEFAULT_BASE)
    return f"{url.removesuffix('/')}/v1/{signal.lower()}"


def _check_url(variable: str, url: str) -> str:
    example = "give a URL such as http://localhost:4318"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        _fail(variable, url, f"is not a URL ({error})", example)
    if parts.scheme not in ("http", "https"):
        _fail(variable, url, "does not begin with http:// or https://", example)
    if not parts.hostname or port == 0:
        _fail(variable, url, "names no host" if port != 0 else "names port 0", example)
    return url


def _check_words(environ: Mapping[str, str], signal: str) -> None:
    variable, value = _find(environ, signal, "PROTOCOL")
    if value and value != _PROTOCOL:
        cure = f"unset it, or set it to {_PROTOCOL} and the endpoint to the collector's HTTP port"
        _fail(variable, value, f"is not supported: probeplan speaks {_PROTOCOL} only", cure)
    variable, value = _find(environ, signal, "COMPRESSION")
    if value and value.lower() not in _COMPRESSIONS:
        _fail(variable, value, "is no compression", f"use {', '.join(_COMPRESSIONS)}")


def _check_headers(environ: Mapping[str, str], signal: str) -> None:
    """Values may be secrets: only the name of the variable is shown, and which part is wrong."""
    variable, value = _find(environ, signal, "HEADERS")
    for number, part in enumerate(value.split(","), 1):
        name, equals, text = part.partition("=")
        if part.strip() and not (equals and name.strip() and unquote(text).isprintable()):
            cure = "write name=value,name=value, with commas in values as %2C"
            raise OtlpSettingsError(f"{variable}: part {number} is not name=value: {cure}")


def _check_files(environ: Mapping[str, str], signal: str) -> None:
    for name in _FILES:
        variable, value = _find(environ, signal, name)
        if not value:
            continue
        try:
            with Path(value).open("rb"):
                pass
        except OSError as error:
            _fail(variable, value, f"cannot be read: {error.strerror}", "give a PEM file")


def _read_timeout(environ: Mapping[str, str], signal: str) -> float:
    variable, value = _find(environ, signal, "TIMEOUT")
    seconds = _read_number(variable, value, _DEFAULT_TIMEOUT_S)
    if seconds > _MOST_TIMEOUT_S:
        reason = f"is more than {_MOST_TIMEOUT_S:g} seconds"
        _fail(variable, value, reason, "give seconds, as for all exporters in Python, not ms")
    return seconds


def _read_interval(environ: Mapping[str, str]) -> float | None:
    variable = "OTEL_METRIC_EXPORT_INTERVAL"
    value = environ.get(variable, "").strip()
    return _read_number(variable, value, 0) / 1000 if value else None


def _read_number(variable: str, value: str, default: float) -> float:
    if not value.strip():
        return default
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        _fail(variable, value, "is not a number above 0", "give one such as 10")
    return number


def _fail(variable: str, value: str, reason: str, cure: str) -> NoReturn:
    raise OtlpSettingsError(f"{variable}={hide_password(value)} {reason}: {cure}")
