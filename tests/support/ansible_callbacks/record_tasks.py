"""A callback of Ansible for tests: the result of each task as a line of JSON, in $TASKS_FILE."""

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record_tasks
type: notification
short_description: Write each result to a file
description: Each result of a task becomes a line of JSON in the file that TASKS_FILE names.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Found by ANSIBLE_CALLBACK_PLUGINS, used where ANSIBLE_CALLBACKS_ENABLED names it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record_tasks"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write("unreachable", result)

    def _write(self, state: str, result: Any) -> None:
        line = {
            "host": result._host.get_name(),
            "task": result._task.get_name(),
            "state": state,
            "result": result._result,
        }
        with Path(os.environ["TASKS_FILE"]).open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")
