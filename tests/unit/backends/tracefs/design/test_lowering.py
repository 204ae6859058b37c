"""The events that show a plan's hooks, and what the kernel tests of them."""

from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.tracefs.design.layout import EventLayout
from tests.support.recorded import recorded
from tests.support.tracefs_runs import compiled


def layout_of(probes: str) -> EventLayout:
    facts = recorded("6.1")
    return tracefs.emit(compiled(f"probes:\n{probes}", facts), facts).detail


def shown(layout: EventLayout) -> list[list[list[str]]]:
    """The events of each side of each hook."""
    names = [source.event for source in layout.sources]
    return [[[names[n] for n in side.sources] for side in hook.sides] for hook in layout.hooks]


def test_a_call_that_may_return_by_another_exit_has_both() -> None:
    """Neither gets a filter, since the kernel would test the returns of the other call by it."""
    layout = layout_of(
        "  a: {attach: syscall:execveat, where: retval == 0, emit: {r: retval}}\n"
        "  b: {attach: syscall:chdir, where: retval == 0, emit: {r: retval}}\n"
    )
    assert shown(layout) == [
        [["sys_enter_execveat"], ["sys_exit_execveat", "sys_exit_execve"]],
        [["sys_enter_chdir"], ["sys_exit_chdir"]],
    ]
    filters = {source.event: source.filter for source in layout.sources}
    assert filters["sys_exit_execveat"] is filters["sys_exit_execve"] is None
    assert filters["sys_exit_chdir"] == "ret == 0"


def test_an_exit_that_another_call_returns_by_is_not_counted_by_a_trigger() -> None:
    """A trigger records nothing."""
    metrics = "{n: {count: true, by: [tid]}}"
    count = f'  n: {{attach: "tracepoint:syscalls:sys_exit_execve", metrics: {metrics}}}\n'
    assert layout_of(count).hists
    assert not layout_of(count + "  a: {attach: syscall:execveat, emit: {r: retval}}\n").hists
