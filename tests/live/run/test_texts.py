"""Text of a length that the event gives, on this machine's kernel."""

import sys
from pathlib import Path

from tests.support.product import Ran, check_accounts, run_cli

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: texts, summary: for tests, requires: "1.1"}
limits: {duration: 1m, cpu: 100%, rate: 1M/s}
probes:
  write:
    attach: syscall:write
    let: {t: "text(buf(args.buf, min(args.count, 16)))"}
    where: args.fd == 77 and startswith(str(args.buf, args.count), "a")
    emit:
      text: t
      hex: buf(args.buf, min(args.count, 16))
      eight: str(args.buf, min(args.count, 8))
      all: str(args.buf, args.count)
      four: entry(text(buf(args.buf, 4)))
      kept: entry(str(args.buf, min(args.count, 8)))
    metrics:
      ways: {count: true, by: [{text: t}, {eight: "str(args.buf, min(args.count, 8))"}]}
      same: {count: 'str(args.buf, min(args.count, 5)) == "alpha"'}
"""
#: Writes from memory that ends with the text: behind it is a page that cannot be read.
WRITES = r"""
import ctypes, mmap, os
os.dup2(os.open("/dev/null", os.O_WRONLY), 77)
libc = ctypes.CDLL(None, use_errno=True)
page = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * page)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
assert libc.mprotect(ctypes.c_void_p(start + page), page, 0) == 0
for text in (b"a\0b\\\xff\xc3\xa9\n", b"alphabet", b"alphabets", b"beta", b"a" * 20, b"alpha"):
    ctypes.memmove(start + page - len(text), text, len(text))
    assert libc.write(77, ctypes.c_void_p(start + page - len(text)), len(text)) == len(text)
"""


def run_writes(folder: Path) -> Ran:
    plan = folder / "plan.yaml"
    plan.write_text(PLAN)
    return run_cli(plan, "--backend", "bcc", command=[sys.executable, "-c", WRITES])


def test_texts_end_where_the_event_says(tmp_path: Path) -> None:
    """Also where memory ends there; a NUL ends a string, and not a buffer. What the plan's bound
    cuts is named."""
    ran = run_writes(tmp_path)
    check_accounts(ran)
    names = ("text", "eight", "all", "kept", "four")
    records = [tuple(one[name] for name in names) for one in ran.data("write")]
    assert records == [
        ("a\\x00b\\\\\\xffé\n", "a", "a", "a", "a\\x00b\\\\"),
        ("alphabet", "alphabet", "alphabet", "alphabet", "alph"),
        ("alphabets", "alphabet", "alphabets", "alphabet", "alph"),
        ("a" * 16, "a" * 8, "a" * 20, "a" * 8, "aaaa"),
        ("alpha", "alpha", "alpha", "alpha", "alph"),
    ]
    assert [bytes.fromhex(one["hex"]) for one in ran.data("write")][:2] == [
        b"a\0b\\\xff\xc3\xa9\n",
        b"alphabet",
    ]
    cut = [one.get("truncated") for one in ran.of_kind("event.recorded")]
    both = ["eight", "kept"]
    assert cut == [None, None, both, ["text", "hex", *both], None]
    ways = {(c["key"]["text"], c["key"]["eight"]): c["value"] for c in ran.cells("write", "ways")}
    assert ways == {(one[0], one[1]): 1 for one in records}
    assert ran.value("write", "same") == 3
    assert all(None not in record for record in records)
