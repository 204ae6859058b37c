"""Cases in guests: programs with every loop over what lies in memory."""

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


def prepare(kernel: Kernel, share: Path) -> dict[str, Any]:
    """Emit and compile it, with and without trampolines."""
    made = {}
    for without in ((), ("fentry",)):
        facts = recorded(kernel, without)
        artifact = backend("bcc").emit(program_of(CAPTURED, facts), facts)
        made["without " + "".join(without)] = (artifact, compile_artifact(artifact))
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
