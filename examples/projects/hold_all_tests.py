"""Holds every test of a project to the same: no syncs, and no programs started.

usage: PYTHONPATH=FOLDER_OF_THIS_FILE pytest -p hold_all_tests
"""

import os
import subprocess
import tempfile
import unittest

import pytest

PLAN = {
    "probes": {
        "sync": {
            "attach_all": ["syscall:fsync", "syscall:fdatasync"],
            "metrics": {"calls": {"count": True}},
        },
        "exec": {
            "attach": "tracepoint:sched:sched_process_exec",
            "metrics": {"execs": {"count": True, "by": ["comm"]}},
        },
    }
}


def witness() -> None:
    """Shows that the probes work: one sync, and one program."""
    with tempfile.TemporaryFile() as file:
        os.fsync(file.fileno())
    subprocess.run(["true"], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the test functions that have no mark yet."""
    held = pytest.mark.probeplan(PLAN, "sync.calls == 0", "exec.execs == 0", witness=witness)
    for item in items:
        is_function = isinstance(item, pytest.Function) and not _is_of_unittest(item)
        if is_function and item.get_closest_marker("probeplan") is None:
            item.add_marker(held)


def _is_of_unittest(item: pytest.Function) -> bool:
    return item.cls is not None and issubclass(item.cls, unittest.TestCase)
