"""A run that must not skip: with PROBEPLAN_NO_SKIPS=1 a skipped test fails.

Except one that says `this kernel lacks FEATURE` (in guests: `kernel RELEASE lacks FEATURE`), for
names of features.TABLE, while the facts of that kernel say so too: live on this machine,
recorded (kernels/) in guests. Several are separated by commas; after a colon is why.
What can be installed, and the rights of the user who runs the tests, are never missing.
"""

import os
import re
from collections.abc import Generator
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import KERNELS

if TYPE_CHECKING:
    from orchestrator.kernel.facts import KernelFacts

VARIABLE = "PROBEPLAN_NO_SKIPS"
LACKS = re.compile(r"(?:this kernel|kernel \S+) lacks (\w+(?:, \w+)*)(?:: .*)?", re.DOTALL)
TABLE_EXCEPTIONS = ("bcc", "lockdown", "cap_")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip that must not be into a failure, before anyone counts it."""
    report = yield
    if call.excinfo and isinstance(call.excinfo.value, pytest.skip.Exception):
        _judge(report, call.excinfo.value.msg or "", _lane(item))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself."""
    report = yield
    if report.skipped:
        _judge(report, str(report.longrepr[2]).removeprefix("Skipped: "), None)
    return report


def _judge(report: pytest.TestReport | pytest.CollectReport, reason: str, lane: str | None) -> None:
    if os.environ.get(VARIABLE) == "1" and (why := refusal(reason, lane)):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skipped, {reason!r}, under {VARIABLE}=1: {why}"


def _lane(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("guest_kernel") if callspec else None


def refusal(reason: str, lane: str | None) -> str | None:
    """Why a test may not be skipped for this reason in this lane (None: on this kernel), or
    None where it may."""
    match = LACKS.fullmatch(reason)
    if not match:
        return "the reason names no missing feature of a kernel"
    facts = _facts(lane)
    for name in match[1].split(", "):
        if name.startswith(TABLE_EXCEPTIONS) or name not in facts.features:
            return f"{name} is no feature of a kernel"
        if (state := facts.feature(name).state) != "no":
            return f"{lane or 'this kernel'} has {name}: {state}"
    return None


@cache
def _facts(lane: str | None) -> "KernelFacts":
    from orchestrator.kernel.facts import live_facts, load_facts

    return load_facts(KERNELS / f"{lane}.facts.xz") if lane else live_facts()
