"""Cases in guests: programs with every loop over what lies in memory and in packets."""

import os
import pickle
from pathlib import Path
from typing import Any

from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import compile_artifact
from orchestrator.lab import Kernel
from orchestrator.plan.findings import HostError
from tests.guest.bcc.plans import load_only, recorded
from tests.support.bcc_runs import program_of

#: Every loop over what lies in memory, as large as it may be, several in one program.
CAPTURED = """
limits: {events: 10k, rate: 1k/s, cpu: 100%}
probes:
  read:
    attach: function:vfs_read
    optional: true
    let: {file: path(args.file)}
    emit: {file: file, long: "path(args.file, 512)", data: "buf(user(args.buf), retval)"}
    metrics: {n: {count: true, by: [comm, file]}}
  state:
    attach: rawtracepoint:inet_sock_set_state
    task: none
    let: {peer: remote(args.sk)}
    emit: {from: local(args.sk), to: peer, ip: peer.ip, port: peer.port}
  exec:
    attach: syscall:execve
    emit: {argv: "entry(strs(args.argv, 512))", more: entry(strs(args.envp)), late: strs(args.envp)}
  connect:
    attach: syscall:connect
    let: {to: "sockaddr(args.uservaddr, args.addrlen)"}
    emit: {to: to, bare: sockaddr(args.uservaddr), ip: to.ip, path: to.path}
  image:
    attach: rawtracepoint:sched_process_exec
    emit: {file: path(args.bprm.file), entry: path(args.bprm.file.f_path.dentry)}
"""
#: Every member of packets, and every comparison of addresses, in conditions, fields and keys.
NETWORK = """
limits: {events: 10k, rate: 1k/s, cpu: 100%}
notes:
  opened: {set: opening, key: [io], keep: {to: remote(sk).ip}}
let: {sk: 'cast(args.skaddr, "struct sock")'}
probes:
  queued:
    attach: tracepoint:net:net_dev_queue
    let: {p: packet(args.skbaddr)}
    where: "p.src != p.dst and (p.sport == 53 or p.dport in (53, 5353) or p.proto == IPPROTO_UDP)"
    once: {by: [p.src, p.sport, {same: "p.src == p.dst"}]}
    emit: {family: p.family, proto: p.proto, src: p.src, dst: p.dst, sport: p.sport,
           dport: p.dport, ttl: p.ttl, tos: p.tos, len: p.len}
    metrics:
      sent: {sum: p.len, by: [p.proto, p.sport, p.dport]}
      back: {count: 'p.dst in (p.src, "10.0.0.0/8", "fd00::/8")'}
  entered:
    attach: function:dev_queue_xmit_nit
    optional: true
    where: entry(packet(args.skb).dport) == 53
    emit: {sport: entry(packet(args.skb).sport), proto: packet(args.skb).proto}
  opening:
    attach: tracepoint:sock:inet_sock_set_state
    where: args.newstate == TCP_SYN_SENT
    let: {io: args.skaddr, own: local(sk).ip, to: remote(sk).ip}
  opened:
    attach: tracepoint:sock:inet_sock_set_state
    where: args.newstate == TCP_ESTABLISHED and note.opened.to == remote(sk).ip
    let: {io: args.skaddr, to: remote(sk).ip}
    emit: {same: local(sk).ip == remote(sk).ip, v4: ipv4(args.saddr) == note.opened.to}
spans:
  connecting:
    start: opening
    end: opened
    key: [io]
    where: start.to == end.to
    emit: {same: start.own == end.to}
    metrics: {both: {count: start.own == start.to}}
"""
PLANS = {"captured": CAPTURED, "network": NETWORK}


def prepare(kernel: Kernel, share: Path) -> dict[str, Any]:
    """Emit and compile each, with and without trampolines."""
    made = {}
    for without in ((), ("fentry",)):
        facts = recorded(kernel, without)
        for name, plan in PLANS.items():
            artifact = backend("bcc").emit(program_of(plan, facts), facts)
            made[" without ".join((name, *without))] = (artifact, compile_artifact(artifact))
    (share / "captured.pickle").write_bytes(pickle.dumps(made))
    return {}


def load() -> dict[str, str]:
    """Load every program; what the kernel refused."""
    share = Path(os.environ["PROBEPLAN_SHARE"])
    made = pickle.loads((share / "captured.pickle").read_bytes())  # noqa: S301  # our own
    refused = {}
    for name, (artifact, code) in made.items():
        try:
            load_only(artifact, code)
        except HostError as error:
            refused[name] = str(error)
    return refused
