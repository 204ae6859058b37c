"""Which task a number stands for, and its name, from what is recorded of tasks."""

import numpy as np

from orchestrator.backends.tracefs.design.task_events import TargetNumbers
from orchestrator.backends.tracefs.reader.lives import Lives, TaskChange

LEADER, THREAD, CHILD = 100, 101, 102


def born(time: int, number: int, parent: int, *, is_thread: bool = False) -> TaskChange:
    return TaskChange(
        time=time, kind="born", number=number, other=parent, name=b"new", is_thread=is_thread
    )


def executed(time: int, number: int, old: int) -> TaskChange:
    return TaskChange(time=time, kind="executed", number=number, other=old)


def ended(time: int, number: int) -> TaskChange:
    return TaskChange(time=time, kind="ended", number=number, name=b"last")


def targets(lives: Lives, *events: tuple[int, int]) -> list[bool]:
    """Whether the task with a number at a time is the target's, for each (number, time)."""
    numbers = np.array([number for number, _ in events], dtype=np.int32)
    times = np.array([time for _, time in events], dtype=np.uint64)
    return lives.is_target(lives.identify(numbers, times)).tolist()


def test_a_thread_that_executes_is_one_task_under_both_numbers() -> None:
    """From when its leader ended, and its number is no one's until a task is born with it."""
    lives = Lives()
    lives.learn([ended(20, LEADER), executed(30, LEADER, THREAD)])
    numbers = np.array([THREAD, LEADER, LEADER, LEADER, THREAD], dtype=np.int32)
    times = np.array([10, 10, 25, 40, 40], dtype=np.uint64)
    before, leader, meanwhile, after, other = lives.identify(numbers, times).tolist()
    assert before == meanwhile == after
    assert len({before, leader, other}) == 3


def test_a_number_that_goes_to_a_stranger_is_not_the_target() -> None:
    lives = Lives(TargetNumbers(followed=frozenset({LEADER, THREAD}), children=True))
    lives.learn([executed(30, LEADER, THREAD), born(50, THREAD, 1), born(60, CHILD, LEADER)])
    assert targets(lives, (THREAD, 10), (LEADER, 40), (THREAD, 55), (CHILD, 70)) == [
        True,
        True,
        False,
        True,
    ]


def test_without_children_threads_alone_are_followed() -> None:
    lives = Lives(TargetNumbers(followed=frozenset({LEADER})))
    lives.learn([born(10, THREAD, LEADER, is_thread=True), born(20, CHILD, LEADER)])
    assert targets(lives, (THREAD, 15), (CHILD, 25)) == [True, False]


def test_an_awaited_number_is_the_first_task_with_it() -> None:
    lives = Lives(TargetNumbers(named=frozenset({CHILD}), awaited=frozenset({CHILD})))
    lives.learn([born(10, CHILD, 1), ended(20, CHILD), born(30, CHILD, 1)])
    assert targets(lives, (CHILD, 15), (CHILD, 35)) == [True, False]


def test_names_are_those_of_the_time() -> None:
    lives = Lives()
    renamed = TaskChange(time=20, kind="renamed", number=THREAD, name=b"b", old_name=b"a")
    lives.learn([renamed, ended(30, CHILD)])
    times = np.array([10, 20, 25], dtype=np.uint64)
    assert lives.names_of(THREAD, times, 16).tolist() == [b"a", b"b", b"b"]
    assert lives.names_of(CHILD, times, 16).tolist() == [b"last"] * 3
    assert not lives.knows_name(LEADER)


def test_the_name_taken_by_executing_is_the_threads() -> None:
    """It is taken under the leader's number, before the exec itself is recorded."""
    lives = Lives()
    taken = TaskChange(time=25, kind="renamed", number=LEADER, name=b"sh", old_name=b"app")
    lives.learn([ended(20, LEADER), taken, executed(30, LEADER, THREAD)])
    times = np.array([10, 24, 26, 40], dtype=np.uint64)
    numbers = np.array([THREAD, LEADER, LEADER, LEADER], dtype=np.int32)
    [life] = set(lives.identify(numbers, times).tolist())
    assert lives.names_of(life, times, 16)[-2:].tolist() == [b"sh", b"sh"]
    assert lives.names_of(LEADER, times, 16).tolist() == [b"last"] * 4


def test_what_has_long_ended_is_forgotten() -> None:
    """So that a host which forks all the time does not fill the memory."""
    lives = Lives(TargetNumbers(followed=frozenset({LEADER}), children=True))
    second = 1_000_000_000
    for at in range(1, 50):
        lives.learn([born(at * second, CHILD, LEADER), ended(at * second + 5, CHILD)])
        lives.forget_before(at * second)
    assert len(lives._names) <= 4
    assert len(lives._numbers[CHILD].times) <= 4
    lives.forget_before(100 * second)
    assert lives._names == {}
    assert lives._numbers == {}


def test_programs_are_counted_by_life_between_two_times() -> None:
    """Under whichever number, both ends included; a task that never executed has none."""
    lives = Lives()
    lives.learn([executed(10, LEADER, LEADER), executed(20, LEADER, LEADER)])
    asked = np.array([LEADER, LEADER, LEADER, THREAD], dtype=np.int64)
    begins = np.array([10, 11, 21, 0], dtype=np.uint64)
    ends = np.array([20, 20, 30, 99], dtype=np.uint64)
    assert lives.count_execs(asked, begins, ends).tolist() == [2, 1, 0, 0]
