"""The start of a process that is ours: how numpy and structlog are imported, and when garbage is
collected."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import os
from orchestrator.run.startup import numpy_without_threads
with numpy_without_threads():
    import numpy
print(len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS"))
"""


@pytest.mark.parametrize(("chosen", "said"), [(None, "1 None"), ("1", "1 1")])
def test_numpy_starts_no_threads_and_children_do_not_inherit_that(
    chosen: str | None, said: str
) -> None:
    """What the user has chosen is kept."""
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    if chosen is not None:
        environment["OPENBLAS_NUM_THREADS"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said


_IN_OURS = """
import os
from orchestrator.run import stacks, startup
{claim}
stacks.make_stack_book().close()
print(len(os.listdir("/proc/self/task")), len(os.sched_getaffinity(0)))
"""


@pytest.mark.parametrize(("claim", "is_ours"), [("startup.own_process()", True), ("", False)])
def test_naming_stacks_starts_threads_only_in_a_process_that_is_not_ours(
    claim: str, is_ours: bool
) -> None:
    """Idle threads of a matrix library would be in the host's own profile. A program that imports
    us may multiply matrices, and keeps its library's threads."""
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", _IN_OURS.format(claim=claim)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    threads, processors = map(int, done.stdout.split())
    assert threads == 1 if is_ours else threads >= min(2, processors)


CODE = """
import gc
from orchestrator.run.startup import begin_startup, end_startup
{setting}
begin_startup()
print(gc.isenabled())
end_startup()
print(gc.isenabled(), gc.get_freeze_count() > 0)
"""


def said(setting: str) -> list[str]:
    code = CODE.format(setting=setting)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_garbage_waits_until_the_start_is_over() -> None:
    assert said("") == ["False", "True", "True"]


def test_the_choice_of_someone_else_stays() -> None:
    assert said("gc.disable()") == ["False", "False", "False"]


STRUCTLOG = """
import sys
from orchestrator.run.startup import import_structlog_alone
import_structlog_alone()
print(*{"structlog", "rich", "pygments", "asyncio.events"} & set(sys.modules))
import asyncio, rich, structlog.stdlib
print(structlog.stdlib.asyncio.get_running_loop is asyncio.get_running_loop, rich.__name__)
"""


def test_structlog_is_imported_without_what_terminals_and_coroutines_need() -> None:
    """Which can be imported afterwards, and then is what structlog uses."""
    done = subprocess.run(
        [sys.executable, "-c", STRUCTLOG], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["structlog", "True", "rich"]
