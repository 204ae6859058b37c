"""Judges are no test modules, and should still tell what they saw."""

import pytest

AREAS = ["apps", "block", "fs", "functions", "locks", "mm", "net", "process", "sched", "security"]

pytest.register_assert_rewrite(*(f"tests.recipes.{area}" for area in AREAS))
