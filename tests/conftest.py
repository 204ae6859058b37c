"""What all tests share."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports them: judges are no test modules, and should still report what they saw.
pytest.register_assert_rewrite("tests.recipes", "tests.support.product")

# A check that a test makes fail is none of the step of GitHub Actions that runs the tests.
os.environ.pop("GITHUB_ACTIONS", None)

pytest_plugins = [
    "pytester",
    "tests.support.flaky",
    "tests.support.guests",
    "tests.support.requirements",
    "tests.support.skips",
]

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("any machine"), max_examples=20)
settings.load_profile("any machine")
