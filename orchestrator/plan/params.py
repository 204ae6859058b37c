"""Params: typed values that `--set` may change, and `$(params.x)`, their interpolation in text."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.plan import units
from orchestrator.plan.attach import TargetError, is_path, is_symbol, parse_attach_point
from orchestrator.plan.document.document_paths import DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression.networks import parse_networks
from orchestrator.plan.findings import Position
from orchestrator.plan.model import Param, ParamType
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.units import UnitError

ParamValue = int | bool | str
MAX_TEXT_BYTES = 255
#: Types whose values are ordered, so that `min` and `max` are allowed.
ORDERED = frozenset({"int", "duration", "bytes", "ratio"})
#: Params of these types may stand in expressions as strings.
TEXT_TYPES = frozenset({"string", "path", "symbol", "choice", "net"})


# ---------------------------------------------------------------- values


def parse_value(kind: ParamType, text: str) -> ParamValue:
    """The value of a param of type `kind` from text, in base units; raises UnitError."""
    return _PARSERS[kind](text)


def _parse_int(text: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]{1,20}|0x[0-9a-fA-F]{1,16}", text):
        raise UnitError(f"{text[:40]!r} is not a whole number")
    value = int(text, 16 if text.startswith("0x") else 10)
    if not -(1 << 63) <= value < 1 << 64:
        raise UnitError(f"{text!r} does not fit into 64 bits", absurd=True)
    return value


def _parse_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise UnitError(f"{text[:40]!r} is neither true nor false")
    return text == "true"


def _parse_text(text: str) -> str:
    if len(text.encode(errors="replace")) > MAX_TEXT_BYTES or not text.isprintable():
        raise UnitError(f"{text[:40]!r} is not printable text of at most {MAX_TEXT_BYTES} bytes")
    return text


def _parse_path(text: str) -> str:
    if not is_path(text):
        raise UnitError(
            f"{text[:60]!r} is not a path", "letters, digits and . / _ + , @ % = ~ ^ - only"
        )
    return text


def _parse_symbol(text: str) -> str:
    if not is_symbol(text):
        raise UnitError(f"{text[:60]!r} is not a symbol", "a function's name, e.g. vfs_read")
    return text


def _parse_net(text: str) -> str:
    try:
        parse_networks(text)
    except ValueError as error:
        hint = "an address or a network, or several with commas: 10.0.0.0/8, ::1"
        raise UnitError(str(error), hint) from None
    return _parse_text(text)


def _parse_attach_point(text: str) -> str:
    try:
        parse_attach_point(text)
    except TargetError as error:
        raise UnitError(str(error), error.hint) from None
    return text


_PARSERS: Mapping[ParamType, Callable[[str], ParamValue]] = {
    "int": _parse_int,
    "duration": lambda text: units.parse_duration(text, low=0),
    "bytes": lambda text: units.parse_bytes(text, low=0),
    "ratio": units.parse_ratio,
    "string": _parse_text,
    "bool": _parse_bool,
    "path": _parse_path,
    "symbol": _parse_symbol,
    "attach": _parse_attach_point,
    "choice": _parse_text,
    "net": _parse_net,
}


_SMALL_UNITS: Mapping[ParamType, tuple[str, str]] = {"duration": ("ms", "s"), "bytes": ("B", "KiB")}


def _text_from_yaml(kind: ParamType, value: Any) -> str:
    """The value that YAML read, as text; raises UnitError for a value of another type."""
    wanted = {"int": int, "bool": bool}.get(kind, str)
    if type(value) is not wanted:
        shown = str(value).lower()
        hint = f'quote it: "{shown}"'
        if kind in ORDERED:
            few, many = _SMALL_UNITS.get(kind, ("", ""))
            hint = "write it with its unit" + (f": {shown}{few} or {shown}{many}" if few else "")
        if kind in ("int", "bool"):
            hint = "write it without quotes"
        raise UnitError(f"{shown[:40]!r} is not of type {kind}", hint)
    return str(value).lower() if kind == "bool" else str(value)


# ---------------------------------------------------------------- building


def build_params(
    raw: Mapping[str, Any], settings: Mapping[str, str], collector: FindingCollector
) -> dict[str, Param]:
    """The plan's params with the values that `settings` (from --set) give them."""
    params = {
        name: _build_param(name, data, collector) for name, data in raw.items() if "type" in data
    }
    for name, text in settings.items():
        if name in params:
            params[name] = _set_param(params[name], text, collector)
        elif name not in raw:
            hint = suggest_name(name, raw, f"it has: {', '.join(raw)}" if raw else "it has none")
            place = Position(file=f"--set {name}")
            collector.add("PP067", f"the plan has no param {name!r}", place, hint)
    return params


def _build_param(name: str, data: Mapping[str, Any], collector: FindingCollector) -> Param:
    path: DocumentPath = ("params", name)
    kind: ParamType = data["type"]
    choices = tuple(data.get("choices", ()))
    _check_keys(kind, data, path, collector)

    def value(key: str) -> Any:
        if key not in data:
            return None
        try:
            return parse_value(kind, _text_from_yaml(kind, data[key]))
        except UnitError as error:
            collector.add(
                "PP066",
                f"{key}: {error}",
                collector.document.value_position((*path, key)),
                error.hint,
            )
            return None

    ordered = kind in ORDERED
    param = Param(
        name=name,
        type=kind,
        value=None,
        default=value("default"),
        choices=choices,
        min=value("min") if ordered else None,
        max=value("max") if ordered else None,
        summary=data.get("summary", ""),
        position=collector.document.key_position(path),
    )
    return _with_value(
        param,
        param.default,
        collector.document.value_position((*path, "default")),
        "PP066",
        collector,
    )


def _check_keys(
    kind: ParamType, data: Mapping[str, Any], path: DocumentPath, collector: FindingCollector
) -> None:
    if kind == "choice" and "choices" not in data and not collector.has_refused((*path, "choices")):
        place = collector.document.key_position(path)
        collector.add("PP066", "a choice needs choices", place, "add e.g. `choices: [none, comm]`")
    if kind not in ("choice", "string", "symbol", "path", "attach") and "choices" in data:
        place = collector.document.key_position((*path, "choices"))
        collector.add("PP066", f"choices do not go with type {kind}", place, "use `type: choice`")
    for key in ("min", "max"):
        if key in data and kind not in ORDERED:
            place = collector.document.key_position((*path, key))
            hint = f"it goes with {', '.join(sorted(ORDERED))}"
            collector.add("PP066", f"{key} does not go with type {kind}", place, hint)


def _set_param(param: Param, text: str, collector: FindingCollector) -> Param:
    place = Position(file=f"--set {param.name}")
    try:
        value = parse_value(param.type, text)
    except UnitError as error:
        collector.add(
            "PP067", str(error), place, error.hint or f"{param.name} is of type {param.type}"
        )
        return param
    return _with_value(param, value, place, "PP067", collector)


def _with_value(
    param: Param, value: ParamValue | None, place: Position, code: str, collector: FindingCollector
) -> Param:
    if value is not None and (reason := _refuse_value(param, value)):
        collector.add(code, f"{param.name}: {reason[0]}", place, reason[1])
        value = None
    return Param(
        name=param.name,
        type=param.type,
        value=value,
        default=param.default,
        choices=param.choices,
        min=param.min,
        max=param.max,
        summary=param.summary,
        position=param.position,
    )


def _refuse_value(param: Param, value: ParamValue) -> tuple[str, str] | None:
    if param.choices and value not in param.choices:
        hint = suggest_name(str(value), param.choices, f"one of: {', '.join(param.choices)}")
        return f"{value!r} is not among its choices", hint
    if param.min is not None and isinstance(value, int) and value < param.min:
        return "the value is below its min", f"at least {show_value(param.type, param.min)}"
    if param.max is not None and isinstance(value, int) and value > param.max:
        return "the value is above its max", f"at most {show_value(param.type, param.max)}"
    return None


def text_values(params: Mapping[str, Param]) -> dict[str, str]:
    """The values of the params that stand in expressions as strings, where they have one."""
    return {
        name: str(param.value)
        for name, param in params.items()
        if param.type in TEXT_TYPES and param.value is not None
    }


def show_value(kind: ParamType, value: ParamValue) -> str:
    """A value as a plan writes it, e.g. 10000000 of type duration → `10ms`."""
    match kind:
        case "duration":
            return units.format_duration(int(value))
        case "bytes":
            return units.format_bytes(int(value))
        case "ratio":
            return f"1/{value}"
        case "bool":
            return str(value).lower()
        case _:
            return str(value)


# ---------------------------------------------------------------- interpolation

_HOLE = re.compile(r"\$\(([^)]*)\)?")
_PARAM = re.compile(r"params\.([a-z_][a-z0-9_]*)")


class Unset(Exception):  # not an error: lint continues without the value
    """The text needs a required param that has no value yet; `args[0]` is its name."""


def interpolate_params(
    text: str, place: Position, params: Mapping[str, Param], collector: FindingCollector
) -> str | None:
    """`text` with the values of its `$(params.x)`; None when refused (reported).

    Raises Unset. A value cannot change the structure around it: only a param of type `attach`, as
    the whole text, may contain a colon.
    """
    if "$(" not in text:
        return text
    filled, end = "", 0
    for match in _HOLE.finditer(text):
        inner = _PARAM.fullmatch(match[1].strip())
        here = place.shifted(match.start())
        if inner is None or not match[0].endswith(")"):
            hint = "only $(params.NAME) is allowed here"
            collector.add("PP064", f"cannot interpolate {match[0]!r}", here, hint)
            return None
        value = _param_text(inner[1], match[0] == text, here, params, collector)
        if value is None:
            return None
        filled, end = filled + text[end : match.start()] + value, match.end()
    return filled + text[end:]


_ELSEWHERE = re.compile(r"\$\(\s*params\b")


def report_stray_interpolation(text: str, place: Position, collector: FindingCollector) -> None:
    """Report `$(params.x)` in a text where it is not replaced."""
    if match := _ELSEWHERE.search(text):
        hint = "it is replaced in attach, by and target only"
        message = f"{text[match.start() :][:40]!r} is not replaced here"
        collector.add("PP064", message, place.shifted(match.start()), hint)


def _param_text(
    name: str,
    whole: bool,
    place: Position,
    params: Mapping[str, Param],
    collector: FindingCollector,
) -> str | None:
    param = params.get(name)
    if param is None:
        if not collector.has_refused(("params", name)):
            hint = suggest_name(name, params, "define it under `params`")
            collector.add("PP065", f"there is no param {name!r}", place, hint)
        return None
    if param.value is None:
        raise Unset(name)
    value = show_value(param.type, param.value)
    if param.type == "attach" and not whole:
        hint = "a param of type attach is the whole attach point; use symbol or path for a part"
        collector.add("PP065", f"{name!r} cannot be part of other text", place, hint)
        return None
    if ":" in value and not whole:
        hint = "the value of a part of an attach point must not contain a colon"
        collector.add("PP065", f"the value {value!r} of {name!r} is not allowed here", place, hint)
        return None
    return value
