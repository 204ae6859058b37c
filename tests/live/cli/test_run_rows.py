"""What `probeplan run` shows on a terminal: a row for each record of a workload of known size, the
exact number of those that a flood leaves out, and nothing that a process could command it with."""

import re
import sys
from pathlib import Path

import pytest

from tests.live.cli.test_run import BACKENDS
from tests.support.product import Ran
from tests.support.requirements import needs_a_kernel
from tests.support.terminal import on_terminal, plain

pytestmark = needs_a_kernel

N = 123
#: More than may come at once.
FLOOD = 20_000
ROW = re.compile(r"\d\d:\d\d:\d\d\.\d{3}  ")
MORE = re.compile(r"\+([\d,]+) more")
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: rows, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, cpu: 100%}
"""
CALL = HEAD + "probes: {call: {attach: syscall:getppid, emit: {parent: retval, took: elapsed}}}\n"


def a_plan(folder: Path, text: str) -> str:
    file = folder / "plan.yaml"
    file.write_text(text)
    return str(file)


def calls(number: int) -> list[str]:
    return ["--", sys.executable, "-c", f"import os\nfor _ in range({number}): os.getppid()"]


def rows_of(lines: list[str]) -> list[str]:
    """Also the one that follows a view which was taken away."""
    ends = (line.rpartition("\r")[2] for line in lines)
    return [line for line in ends if ROW.match(line)]


def left_out(lines: list[str]) -> int:
    found = (MORE.match(line) for line in lines)
    return sum(int(one[1].replace(",", "")) for one in found if one)


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("backend", BACKENDS)
def test_n_calls_are_n_rows_under_a_heading(tmp_path: Path, backend: str, columns: int) -> None:
    words = ["--backend", backend, "--no-progress", *calls(N)]
    code, text = on_terminal(a_plan(tmp_path, CALL), *words, columns=columns)
    lines = plain(text)
    assert code == 0, text
    rows = rows_of(lines) if columns > 40 else [line for line in lines if re.match(r"\d\d:", line)]
    assert (len(rows), left_out(lines)) == (N, 0)
    assert max(map(len, rows)) <= columns
    [heading, *_] = [line for line in lines if line.startswith("time")]
    assert not [line for line in lines if line.startswith("{")]
    if columns > 40:
        assert heading.split() == ["time", "comm", "pid", "parent", "took"]
        assert {len(row) for row in rows} == {len(heading)}, "right-aligned under the heading"
        assert all(row.split()[-1] in ("ns", "µs", "ms", "s") for row in rows)
        assert len({row.split()[2] for row in rows}) == 1, "one process"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_flood_is_thinned_by_a_number_that_is_exact_and_the_log_has_all(
    tmp_path: Path, backend: str
) -> None:
    log = tmp_path / "log"
    words = ["--backend", backend, "--log", str(log), "--rows", "5", *calls(FLOOD)]
    code, text = on_terminal(a_plan(tmp_path, CALL), *words, columns=200)
    lines, ran = plain(text.replace("\r\x1b[K", "\n")), Ran.of(log.read_bytes())
    assert code == 0, text
    delivered = ran.finished["delivered"]
    assert len(ran.of_kind("event.recorded")) == delivered == FLOOD
    shown = len(rows_of(lines))
    assert shown + left_out(lines) == delivered
    assert 50 <= shown < 50 + 5 * 60
    said = f"rows: {shown:,} of {delivered:,} records were shown; all are in {log}"
    assert said in lines


def test_a_terminal_gets_json_lines_where_they_are_asked_for(tmp_path: Path) -> None:
    words = ["--json", "--no-progress", "--summary", "never", *calls(N)]
    code, text = on_terminal(a_plan(tmp_path, CALL), *words)
    ran = Ran.of(text.replace("\r\n", "\n").encode())
    assert code == ran.finished["exit_code"] == 0
    assert len(ran.of_kind("event.recorded")) == N


HOSTILE = r"\x1b[31mx\x07\n\xe2\x80\xaey\xff"
HOSTILE_WORK = f"""
import os, sys
open('/proc/self/comm', 'wb').write(b'\\x1b[2J\\n\\xe2\\x80\\xae\\xff')
try: os.open(b'/{HOSTILE}', os.O_RDONLY)
except OSError: pass
"""


def test_names_of_tasks_and_files_command_no_terminal(tmp_path: Path) -> None:
    """The end of the path and the whole name are shown as escapes."""
    plan = HEAD + "probes: {open: {attach: syscall:openat, emit: {path: str(args.filename)}}}\n"
    words = [a_plan(tmp_path, plan), "--backend", "bcc", "--no-progress"]
    work = ["--", sys.executable, "-c", HOSTILE_WORK]
    code, text = on_terminal(*words, *work, columns=100, NO_COLOR="1")
    assert code == 0, text
    shown = [line for line in text.split("\r\n") if ROW.match(line)]
    assert r"\x1b[2J\n\u202e\xff" in shown[-1]
    assert r"/\x1b[31mx\x07\n\u202ey\xff" in shown[-1]
    assert all(line.isprintable() for line in shown)


SPANS = (
    HEAD
    + """
probes:
  begin: {attach: tracepoint:syscalls:sys_enter_getppid}
  end: {attach: tracepoint:syscalls:sys_exit_getppid}
spans:
  stretch: {start: begin, end: end, key: [tid], emit: {lasted: elapsed}}
"""
)


def test_spans_and_live_views_have_rows_too(tmp_path: Path) -> None:
    words = [a_plan(tmp_path, SPANS), "--backend", "bcc", "--live", *calls(N)]
    code, text = on_terminal(*words)
    lines = plain(text)
    assert code == 0, text
    assert len(rows_of(lines)) == N
    assert ["comm", "pid", "lasted"] in [line.split()[1:] for line in lines]


WINDOWS = CALL.replace("emit: {parent: retval, took: elapsed}",
                       "metrics: {calls: {count: true, by: [comm], warn: value > 3}}"
                       ) + "every: 100ms\n"  # fmt: skip


def test_windows_and_warnings_are_tables_and_lines(tmp_path: Path) -> None:
    words = [a_plan(tmp_path, WINDOWS), "--no-progress", *calls(N)]
    code, text = on_terminal(*words)
    lines = plain(text)
    assert code == 0, text
    assert not [line for line in lines if line.startswith("{")]
    summary = next(at for at, line in enumerate(lines) if line.startswith("probe "))
    assert "call.calls (count)" in lines[:summary]
    assert [line for line in lines[:summary] if line.startswith("warning: call.calls: value > 3")]
