"""What all tests share."""

import pytest

# Before anything imports them: judges are no test modules, and should still report what they saw.
pytest.register_assert_rewrite("tests.recipes", "tests.support.product")

pytest_plugins = [
    "tests.support.flaky",
    "tests.support.guests",
    "tests.support.requirements",
    "tests.support.skips",
]
