"""Whether a bundle is for this host and this time: pure."""

from orchestrator.bundle.model import Bundle
from orchestrator.plan.findings import Finding, HostError, Position

__all__ = ["check_bundle_arch", "check_bundle_times"]


def check_bundle_times(bundle: Bundle, now: float, source: str = "") -> None:
    """Raises HostError (PP243) for a bundle that has expired, and where the clock is before its
    creation: it would not show when that bundle expires. `now`: seconds since the epoch."""
    if bundle.expires is not None and now >= bundle.expires:
        hint = "build it again, with a later --expires"
        raise _refuse(bundle, source, f"it expired at {_show_time(bundle.expires)}", hint)
    if now < bundle.created:
        why = f"it was built at {_show_time(bundle.created)}, and the clock here is at "
        raise _refuse(bundle, source, why + _show_time(now), "set this host's clock")


def check_bundle_arch(bundle: Bundle, arch: str, source: str = "") -> None:
    """Raises HostError (PP243) where the host's `arch`, in uname's words, is not the bundle's."""
    if bundle.arch != arch:
        why = f"its programs are for {bundle.arch}, and this host is {arch}"
        hint = "build a bundle from facts that were recorded on a host of this architecture"
        raise _refuse(bundle, source, why, hint)


def _refuse(bundle: Bundle, source: str, why: str, hint: str) -> HostError:
    position = Position(file=source or bundle.plan_file)
    message = f"this bundle cannot be used here: {why}"
    return HostError([Finding(code="PP243", message=message, position=position, hint=hint)])


def _show_time(seconds: float) -> str:
    from datetime import UTC, datetime  # 0.7 ms, to refuse only

    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return f"{int(seconds)} s after 1970"
