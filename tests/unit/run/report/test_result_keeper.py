import json

from orchestrator.run.report.result_keeper import FirstLines, MemoryResult

EVENTS = b'{"ts":"x","level":"info","event":"event.recorded","n":1}\n' * 5
FINISHED = b'{"ts":"x","level":"info","event":"run.finished"}\n'
STACK = b'{"ts":"x","level":"info","event":"stack.named"}\n'


def test_the_first_records_are_kept_and_the_rest_is_counted() -> None:
    lines = FirstLines(7)
    for _ in range(2):
        lines.write(memoryview(EVENTS), 5)
    lines.write(FINISHED, 1)
    assert (len(lines.lines), lines.records_omitted) == (8, 3)
    assert lines.lines[-1] == FINISHED
    assert (lines.delivered, lines.lost, lines.failed) == (11, 0, None)


def test_stacks_are_not_kept_since_keys_have_their_names() -> None:
    lines = FirstLines(7)
    lines.write(STACK, 1)
    assert (lines.lines, lines.lines_omitted) == ([], 0)


def test_memory_is_bounded_and_what_has_no_place_is_counted() -> None:
    lines = FirstLines(7, size=len(FINISHED))
    for _ in range(3):
        lines.write(FINISHED, 1)
    assert (len(lines.lines), lines.lines_omitted) == (1, 2)


def test_the_last_result_counts() -> None:
    kept = MemoryResult(7)
    kept.write_result({"exit_code": 0})
    kept.write_result({"exit_code": 4})
    assert kept.result is not None
    assert json.loads(kept.result) == {"exit_code": 4}
