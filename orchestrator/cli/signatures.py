"""How commands say by what a policy accepts a plan."""

from collections.abc import Mapping
from typing import Any

__all__ = ["describe_signature"]

_WITHOUT = {
    "absent": "none, and {policy} requires none",
    "shipped": "none, but {policy} trusts plans that come with probeplan",
    "unchecked": "not checked, since there is no ssh-keygen, and {policy} requires none",
}


def describe_signature(signature: Mapping[str, Any]) -> str:
    """A record's `signatures` entry in words."""
    if signature["status"] == "accepted":
        return "by {principal} ({key}), accepted by {policy}".format(**signature)
    return _WITHOUT[signature["status"]].format(**signature)
