"""The scripts that Debian's bpftrace ships run alongside our plans, as they are, on the same
workload: each line that they print of it we have too, each number is the same, each time is as
long."""

import os
import re
import signal
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.binaries.elf import resolve_binary, symbol_offset
from tests.recipes.guest import UNBOUND, copy_libraries
from tests.recipes.peer_work import GETPMSG, MANY, NAPS_MS
from tests.recipes.peers import private_python, shipped
from tests.recipes.table import AREA_OF
from tests.support.guest_cases import CaseResult
from tests.support.product import Ran, check_accounts, run_cli
from tests.support.shipped import PLANS

OPENSSL = "libssl.so.3"
LIMITS = [word for name, value in UNBOUND.items() for word in ("--limit", f"{name}={value}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A plan of ours held against a script. `ours`, of a run and of the workload's comm, has to be
    what `theirs` makes of the script's text. `alike`: what else has to hold, of times.
    `own_work`: the workload in peer_work; "" is the plan's row's. `library`: what the plan's
    parameter `lib` names; the script sees the workload's copy of it in place of `at`, which is
    the same library unless said otherwise. `at_end`: it prints when it is interrupted. `disk`:
    the row's `disk`. `reported`: in a guest, how many lines it prints of the workload."""

    script: str
    plan: str
    ours: Callable[[Ran, str], Any]
    theirs: Callable[[str, str], Any]
    alike: Callable[[Ran, str, str], None] | None = None
    own_work: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    library: str = ""
    at: str = ""
    at_end: bool = False
    disk: bool = False
    reported: int = 0

    @property
    def work(self) -> list[str]:
        if self.own_work:
            return ["tests.recipes.peer_work", self.own_work]
        return ["tests.recipes", AREA_OF[self.plan], self.plan]


# ---------------------------------------------------------------- what was reported


def records(ran: Ran, probe: str, who: str | None = None) -> list[Mapping[str, Any]]:
    """The data of a probe's records with their `pid`; all or those of a comm."""
    return [
        {**line["data"], "pid": line["pid"]}
        for line in ran.of_kind("event.recorded")
        if line["probe"] == probe and who in (None, line["comm"])
    ]


def lines(pattern: str) -> Callable[[str, str], Counter[tuple[str, ...]]]:
    """How often they printed what: the groups of each line that is like this. WHO is the comm."""

    def found(text: str, who: str) -> Counter[tuple[str, ...]]:
        whole = re.compile(rf"^{pattern.replace('WHO', who)}$", re.MULTILINE)
        return Counter(match.groups() for match in whole.finditer(text))

    return found


def named(text: str) -> str:
    """With OpenSSL's functions by name instead of where they were: a library is loaded at the
    beginning of a page."""
    library = resolve_binary(OPENSSL)
    places = {symbol_offset(library, name) & 0xFFF: name for name in ("SSL_read", "SSL_write")}
    return re.sub("0x([0-9a-f]+)", lambda at: places.get(int(at[1], 16) & 0xFFF, at[0]), text)


def opened(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As opensnoop.bt, which knows open and openat: descriptor or -1, error, path."""
    known = [one for one in records(ran, "open", who) if one["call"] in ("open", "openat")]
    reported = [(one["result"], one["path"]) for one in known]
    return Counter((str(max(n, -1)), str(max(-n, 0)), path) for n, path in reported)


def asked(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As statsnoop.bt, which does not know newfstatat: error, path."""
    known = [one for one in records(ran, "stat", who) if one["call"] != "newfstatat"]
    return Counter((str(-one["result"]), one["path"]) for one in known)


def synced(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As syncsnoop.bt: the call."""
    return Counter((one["call"],) for one in records(ran, "sync", who))


def sent(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As killsnoop.bt: signal, to whom, result."""
    worked = [{**one, "result": 0} for one in records(ran, "kill", who)]
    return Counter(
        (str(signal_number(one["signal"])), str(one["to"]), str(one["result"]))
        for one in [*worked, *records(ran, "refused", who)]
    )


def signal_number(name: Any) -> int:
    return int(signal.Signals[name]) if isinstance(name, str) else int(name)


def changed(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As setuids.bt: by whom, setuid to whom, result."""
    reported = [one for one in records(ran, "change", who) if one["call"] == "setuid"]
    return Counter(
        (str(one["pid"]), str(one["by"]), str(one["first"]), str(one["result"])) for one in reported
    )


def started(ran: Ran, _who: str) -> Counter[tuple[str, ...]]:
    """As execsnoop.bt, of the workload's children: file."""
    return Counter((one["file"],) for one in records(ran, "exec", "true"))


def typed(ran: Ran, _who: str) -> Counter[tuple[str, ...]]:
    """As bashreadline.bt."""
    return Counter((str(one["pid"]), one["line"]) for one in records(ran, "line"))


def looked_up(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As gethostlatency.bt: pid, name."""
    return Counter((str(one["pid"]), one["name"]) for one in records(ran, "lookup", who))


def threads(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As threadsnoop.bt: pid, function, for which Debian's Python has no name."""
    return Counter((str(one["pid"]), hex(one["start"])) for one in records(ran, "create", who))


def napped(ran: Ran, who: str) -> int:
    return len(records(ran, "call", who))


def spoken(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As sslsnoop.bt: result, function."""
    functions = {"receive": "SSL_read", "send": "SSL_write"}
    return Counter(
        (str(one["bytes"]), function)
        for probe, function in functions.items()
        for one in records(ran, probe, who)
    )


def accepted(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As tcpaccept.bt: pid, the peer's address and port, our own."""
    ends = ("pid", "peer", "peer_port", "address", "port")
    return Counter(tuple(str(one[end]) for end in ends) for one in records(ran, "accept", who))


def connected(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As tcpconnect.bt: pid, address, the peer's address and port."""
    return Counter(
        (str(one["pid"]), one["from"], one["to"], str(one["port"]))
        for one in records(ran, "connect", who)
    )


def lived(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As tcplife.bt: pid, port, the peer's address and port, KiB sent and received."""
    return Counter(
        (
            str(one["pid"]),
            str(one["port"]),
            one["peer"],
            str(one["peer_port"]),
            str(one["sent"] // 1024),
            str(one["received"] // 1024),
        )
        for one in ran.data("life")
        if one["comm"] == who
    )


def waited(ran: Ran, _who: str) -> dict[int, int]:
    """As tcpsynbl.bt, which has powers of two, for the queue of 7 that the workload has."""
    [cell] = [cell for cell in ran.cells("arrive", "backlog") if cell["count"] == 4]
    buckets: Counter[int] = Counter()
    for edge, count in cell["buckets"]:
        buckets[2 ** (edge.bit_length() - 1) if edge else 0] += count
    return dict(buckets)


def checked(ran: Ran, who: str) -> Counter[tuple[str, ...]]:
    """As capable.bt: pid, capability."""
    return Counter((str(one["pid"]), one["capability"]) for one in records(ran, "check", who))


# ---------------------------------------------------------------- times, within a power of two


def close(ours: float, theirs: float) -> bool:
    """Whether two times are in the same bucket of a power of two or in neighbours."""
    return abs(int(ours).bit_length() - int(theirs).bit_length()) <= 1


def lookups_alike(ran: Ran, text: str, who: str) -> None:
    """In milliseconds. The middle one: between their probe and ours a process may lose its CPU."""
    theirs = [int(ms) for ms in re.findall(rf"{who} +(\d+) 127\.", text)]
    ours = [one["took"] / 1e6 for one in records(ran, "lookup", who)]
    assert close(statistics.median(ours), statistics.median(theirs))


def lives_alike(ran: Ran, text: str, who: str) -> None:
    """In milliseconds, the middle one."""
    theirs = [int(ms) for ms in re.findall(rf"^\d+ +{who} .* (\d+)$", text, re.MULTILINE)]
    ours = [one["took"] / 1e6 for one in ran.data("life")]
    assert close(statistics.median(ours), statistics.median(theirs)), (ours, theirs)


def naps_alike(ran: Ran, text: str, who: str) -> None:
    """They report what was asked for, we what it took."""
    theirs = [
        1000 * int(s) + int(ms) for s, ms in re.findall(rf" {who} +(\d+)\.(\d+)$", text, re.M)
    ]
    assert sorted(theirs) == sorted(NAPS_MS)
    ours = [one["took"] / 1e6 for one in records(ran, "call", who)]
    assert all(took >= nap for took, nap in zip(sorted(ours), sorted(NAPS_MS), strict=True))
    assert close(statistics.median(ours), statistics.median(theirs))


def messages_alike(ran: Ran, text: str, who: str) -> None:
    """In microseconds, the middle one of the reads, which wait, and of the writes."""
    text = named(text)
    for probe, function in (("receive", "SSL_read"), ("send", "SSL_write")):
        theirs = [int(us) for us in re.findall(rf"{who} +(\d+) +\d+ {function}$", text, re.M)]
        ours = [one["took"] / 1e3 for one in records(ran, probe, who)]
        assert close(statistics.median(ours), statistics.median(theirs)), (function, ours, theirs)


# ---------------------------------------------------------------- maps


def value(text: str, of: str) -> int:
    """A number of theirs behind this name."""
    found = re.search(rf"^{re.escape(of)}: (\d+)$", text, re.MULTILINE)
    assert found, f"{of} is not in {text}"
    return int(found[1])


def histogram(text: str, name: str) -> dict[int, int]:
    """One of their histograms by powers of two: lower edge → count; 0 stands for itself."""
    block = re.search(rf"^@\[{re.escape(name)}\]: *\n((?:[\[(].*\n?)+)", text, re.MULTILINE)
    units = {"": 1, "K": 2**10, "M": 2**20}
    rows = re.findall(r"^\[(\d+)([KM]?)[,\]].*? (\d+) \|", block[1] if block else "", re.MULTILINE)
    return {int(edge) * units[unit]: int(count) for edge, unit, count in rows if int(count)}


def request_sizes(ran: Ran, who: str) -> dict[int, int]:
    """Ours as theirs."""
    return dict(Counter(2 ** (n["bytes"].bit_length() - 1) for n in records(ran, "issue", who)))


def their_request_sizes(text: str, who: str) -> dict[int, int]:
    """Without those of no bytes, which only empty the disk's cache: the plan leaves them out."""
    return {edge: count for edge, count in histogram(text, who).items() if edge}


def their_counts(text: str, who: str) -> tuple[int, int]:
    """Of the call and of the program, as syscount.bt has them among its ten largest."""
    return value(text, f"@syscall[{GETPMSG}]"), value(text, f"@process[{who}]")


def call_counts(ran: Ran, who: str) -> tuple[int, int]:
    """They count entries, we returns: for the program its exec, of which it only sees the end,
    makes up for its exit, of which there is only the beginning."""
    assert ran.value("call", "failed", number="getpmsg") == MANY
    return ran.value("call", "calls", number="getpmsg"), ran.value("call", "programs", comm=who)


def their_messages(text: str, _who: str) -> dict[str, int]:
    """Of ssllatency.bt. It takes the lowest byte of a result for the result: with messages of 200
    bytes it counts failures."""
    reported = re.findall(
        r"^@stat\[(SSL_read|SSL_write)\]: count (\d+),", named(text), re.MULTILINE
    )
    return {function: int(count) for function, count in reported}


def our_messages(ran: Ran, who: str) -> dict[str, int]:
    return {
        "SSL_read": ran.value("receive", "calls", comm=who),
        "SSL_write": ran.value("send", "calls", comm=who),
    }


def latencies_alike(ran: Ran, text: str, _who: str) -> None:
    """The middle one is in the same of their buckets, 200 µs wide up to a millisecond, or in
    neighbours: of the writes, and of the reads, which wait."""
    for probe, function in (("receive", "SSL_read"), ("send", "SSL_write")):
        block = named(text).partition(f"@hist[{function}]: \n")[2].partition("\n\n")[0]
        rows = re.findall(r"^\[(\d+), .*\) +(\d+) \|", block, re.MULTILINE)
        theirs = [int(edge) // 200 for edge, count in rows for _ in range(int(count))]
        [cell] = ran.cells(probe, "latency")
        ours = [edge // 200_000 for edge, count in cell["buckets"] for _ in range(count)]
        assert len(ours) == len(theirs)
        assert abs(min(statistics.median_low(ours), 5) - statistics.median_low(theirs)) <= 1


# ---------------------------------------------------------------- the pairs

TIME = r"\d\d:\d\d:\d\d +"
MESSAGE = lines(r"\d+ +\d+ +WHO +\d+ +(\d+) (SSL_read|SSL_write)")
HELD: Sequence[Held] = (
    Held(
        script="opensnoop.bt",
        plan="opens",
        ours=opened,
        theirs=lines(r"\d+ +WHO +(-?\d+) +(\d+) (.*)"),
    ),
    Held(
        script="statsnoop.bt",
        plan="stats",
        ours=asked,
        theirs=lines(r"\d+ +WHO +(\d+) (.*)"),
        own_work="stats",
    ),
    Held(
        script="syncsnoop.bt",
        plan="fsync",
        ours=synced,
        theirs=lines(TIME + r"\d+ +WHO +tracepoint:syscalls:sys_enter_(\w+)"),
        own_work="syncs",
    ),
    Held(
        script="killsnoop.bt",
        plan="kills",
        ours=sent,
        theirs=lines(TIME + r"\d+ +WHO +(\d+) +(-?\d+) +(-?\d+)"),
        own_work="kills",
        settings={"probes_too": "true"},
    ),
    Held(
        script="setuids.bt",
        plan="privilege-changes",
        ours=changed,
        theirs=lines(TIME + r"(\d+) +WHO +(\d+) +setuid +uid=(-?\d+) \((-?\d+)\)"),
    ),
    Held(
        script="execsnoop.bt",
        plan="execs",
        ours=started,
        theirs=lines(r"\d+ +\d+ +(/bin/true)"),
    ),
    Held(
        script="syscount.bt",
        plan="syscall-counts",
        ours=call_counts,
        theirs=their_counts,
        own_work="many-calls",
        at_end=True,
    ),
    Held(
        script="naptime.bt",
        plan="trace-calls",
        ours=napped,
        theirs=lambda text, who: len(re.findall(rf" {who} +\d+\.\d+$", text, re.MULTILINE)),
        alike=naps_alike,
        own_work="naps",
        settings={"function": "syscall:nanosleep"},
    ),
    Held(
        script="bitesize.bt",
        plan="io-sizes",
        ours=request_sizes,
        theirs=their_request_sizes,
        at_end=True,
        disk=True,
    ),
    Held(
        script="bashreadline.bt",
        plan="shell-lines",
        ours=typed,
        theirs=lines(TIME + r"(\d+) +(.*)"),
    ),
    Held(
        script="gethostlatency.bt",
        plan="name-lookups",
        ours=looked_up,
        theirs=lines(TIME + r"(\d+) +WHO +\d+ (.*)"),
        alike=lookups_alike,
        library="libc.so.6",
    ),
    Held(
        script="threadsnoop.bt",  # it looks in a libpthread, which the C library has become
        plan="thread-starts",
        ours=threads,
        theirs=lines(r"\d+ +(\d+) +WHO +(\S+)"),
        library="libc.so.6",
        at="libpthread.so.0",
    ),
    Held(
        script="sslsnoop.bt",
        plan="tls-text",
        ours=spoken,
        theirs=lambda text, who: MESSAGE(named(text), who),
        alike=messages_alike,
        own_work="tls",
        library=OPENSSL,
    ),
    Held(
        script="ssllatency.bt",
        plan="tls-sizes",
        ours=our_messages,
        theirs=their_messages,
        alike=latencies_alike,
        own_work="tls",
        library=OPENSSL,
        at_end=True,
    ),
)


def settings_of(held: Held, folder: Path) -> list[str]:
    """The words that give the plan its params."""
    library = {"lib": str(folder / held.library)} if held.library else {}
    pairs = {**held.settings, **library}
    return [word for pair in pairs.items() for word in ("--set", "=".join(pair))]


@pytest.mark.root
@pytest.mark.parametrize("held", HELD, ids=lambda held: f"{held.plan}-{held.script}")
def test_the_script_tells_the_same(held: Held, tmp_path: Path) -> None:
    """Whatever one of them reports the workload the other reports too, and nothing else."""
    if held.disk and os.major(Path.cwd().stat().st_dev) == 0:
        pytest.skip("the current directory is on no block device")
    python = private_python(tmp_path)
    who = Path(python).name
    command = [python, "-S", "-m", *held.work]
    instead = {}
    if held.library:
        copy_libraries({"lib": held.library}, tmp_path)
        command = ["/usr/bin/env", f"LD_LIBRARY_PATH={tmp_path}", *command]
        place = Path(resolve_binary(held.at or held.library)).resolve()
        instead = {str(place): tmp_path / held.library}
    with shipped(held.script, tmp_path, instead) as script:
        words = [str(PLANS[held.plan]), "--backend", "bcc", *LIMITS, *settings_of(held, tmp_path)]
        ran = run_cli(*words, command=command)
        ours = held.ours(ran, who)
        if not held.at_end:
            script.wait_told(lambda text: held.theirs(text, who) == ours)
    assert ours
    assert held.theirs(script.reported(), who) == ours
    if held.alike:
        held.alike(ran, script.reported(), who)


# ---------------------------------------------------------------- in a booted kernel

FROM_TO = r"(\S+) +(\d+) +(\S+) +(\d+)"
IN_GUEST: Sequence[Held] = (
    Held(
        script="tcpaccept.bt",
        plan="tcp-accepts",
        ours=accepted,
        theirs=lines(TIME + rf"(\d+) +WHO +{FROM_TO} +\d+/\d+"),
        reported=6,
    ),
    Held(
        script="tcpconnect.bt",
        plan="tcp-connects",
        ours=connected,
        theirs=lines(TIME + r"(\d+) +WHO +(\S+) +\d+ +(\S+) +(\d+) *"),
        reported=5,
    ),
    Held(
        script="tcplife.bt",
        plan="tcp-life",
        ours=lived,
        theirs=lines(r"(\d+) +WHO +\S+ +(\d+) +(\S+) +(\d+) +(\d+) +(\d+) \d+"),
        alike=lives_alike,
        reported=6,
    ),
    Held(
        script="tcpsynbl.bt",
        plan="tcp-backlog",
        ours=waited,
        theirs=lambda text, _who: histogram(text.replace("@backlog[", "@["), "7"),
    ),
    Held(
        script="capable.bt",
        plan="capability-checks",
        ours=checked,
        theirs=lines(TIME + r"\d+ +(\d+) +WHO +\d+ +(\S+) +\d+"),
        reported=11,
    ),
)


def case(held: Held) -> Any:
    """One parameter: both in the boot that serves them all."""
    marked = pytest.mark.guest(
        "tests.recipes.guest_peers:run",
        prepare="tests.recipes.guest_peers:prepare",
        script=held.script,
        plan=held.plan,
        path=str(PLANS[held.plan]),
        reported=held.reported,
    )
    return pytest.param(held, marks=marked, id=f"{held.plan}-{held.script}")


@pytest.mark.usual_kernel
@pytest.mark.parametrize("held", [case(held) for held in IN_GUEST])
def test_the_script_tells_the_same_in_a_guest(held: Held, guest: CaseResult) -> None:
    """Those that want kernel functions."""
    reported = guest.result()
    assert reported["left"] == []
    ran, text, who = Ran.of(reported["lines"]), reported["reported"], reported["who"]
    check_accounts(ran)
    ours = held.ours(ran, who)
    assert ours
    assert held.theirs(text, who) == ours
    if held.alike:
        held.alike(ran, text, who)
