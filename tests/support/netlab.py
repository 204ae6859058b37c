"""Hosts of a fleet on one machine: a network, mount, UTS and IPC namespace each, with a real sshd.

Each host has its own address, name, machine-id, /run, /etc and /var, which are copies that nothing
leaves; a bridge in a control namespace joins them, and nothing else reaches them. They share this
machine's kernel and the rest of its files. So a count of everything that a kernel does is one of
all hosts: for exact counts, plans need a command or a `--target`; and the probes of a host that is
killed stay in the kernel until they are cleaned up.

    with open_lab(8) as lab:
        subprocess.run(lab.command(["ansible", "all", "-i", lab.inventory, "-m", "ping"]), ...)
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path

from tests.support.projects import SSHD, find_project

__all__ = ["Host", "Lab", "open_lab", "processes_in"]

CONTROL = "10.77.0.1"
FIRST_OF_HOSTS = 10
#: Whatever has the rights of this process; it and its end go together, even by SIGKILL.
_BOUND = ("setpriv", "--pdeathsig", "KILL")
_SPACES = ("--net", "--mount", "--uts", "--ipc")
#: A dead host is noticed, but no busy one is taken for dead.
_SSH = "-o ConnectTimeout=10 -o ServerAliveInterval=2 -o ServerAliveCountMax=4"
_SECONDS_TO_START = 30

_HOST_SCRIPT = """
hostname "$0"
mount -t tmpfs -o mode=755 tmpfs /run
for tree in etc var; do
    mkdir -p /run/.lab/$tree /run/.lab/$tree.work
    mount -t overlay -o "lowerdir=/$tree,upperdir=/run/.lab/$tree,workdir=/run/.lab/$tree.work" \\
        overlay /$tree
done
for own in /etc/probeplan /var/lib/probeplan /var/cache/probeplan; do
    mkdir -p $own
    mount -t tmpfs -o mode=755 tmpfs $own
done
mkdir /run/sshd /run/tmp
rm -f /etc/machine-id /etc/hostname
echo "$1" >/etc/machine-id
echo "$0" >/etc/hostname
grep -q ^sshd: /etc/passwd || echo sshd:x:65000:65534::/run/sshd:/usr/sbin/nologin >>/etc/passwd
sed -i 's/^root:!/root:*/' /etc/shadow
echo ready
exec sleep infinity
"""
_SSHD_CONFIG = """
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
SetEnv TMPDIR=/run/tmp
Subsystem sftp {sshd}/usr/lib/openssh/sftp-server
"""
#: Programs that sshd runs since OpenSSH 9.8 and 10.0, and the options that say where they are.
_SSHD_PARTS = {"sshd-session": "SshdSessionPath", "sshd-auth": "SshdAuthPath"}


@dataclass(frozen=True, slots=True)
class Host:
    """A running host; `holder` keeps its namespaces, `network` is the identity of one."""

    name: str
    address: str
    holder: subprocess.Popen[str]
    network: str

    @property
    def machine_id(self) -> str:
        return _machine_id(self.name)

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The words that run `argv` in this host, as its root."""
        spaces = ("nsenter", "-t", str(self.holder.pid), *_SPACES, "--")
        return [*spaces, *map(str, argv)]

    def copy_on_write(self, *trees: str) -> None:
        """What is written below these folders of `/` stays in this host."""
        for tree in trees:
            own = f"/run/.lab/{tree}"
            layers = f"lowerdir=/{tree},upperdir={own},workdir={own}.work"
            _run(self.command(["mkdir", "-p", own, f"{own}.work", f"/{tree}"]))
            _run(self.command(["mount", "-t", "overlay", "-o", layers, "overlay", f"/{tree}"]))

    def processes(self) -> list[int]:
        """All processes in the host's network namespace."""
        return processes_in(self.network)


@dataclass(slots=True)
class Lab:
    """Running hosts, and one that reaches them and has no sshd, the controller."""

    folder: Path
    control: Host
    hosts: dict[str, Host] = field(default_factory=dict)
    #: sshd of each host; to be waited for.
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def inventory(self) -> Path:
        """For Ansible: group `fleet`, with what ssh needs."""
        return self.folder / "inventory.ini"

    @property
    def environment(self) -> Mapping[str, str]:
        """For Ansible's programs: all that they write on the controller is in the lab's folder."""
        ansible = self.folder / "ansible"
        return dict(
            os.environ,
            ANSIBLE_HOME=str(ansible),
            ANSIBLE_LOCAL_TEMP=str(ansible / "tmp"),
            # Connections are found by address, which hosts of other labs have, too.
            ANSIBLE_SSH_CONTROL_PATH_DIR=str(ansible / "cp"),
            ANSIBLE_NOCOWS="1",
            ANSIBLE_FORKS="8",
            ANSIBLE_PIPELINING="1",
        )

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The words that run `argv` on the controller."""
        return self.control.command(argv)

    def cut(self, host: str) -> None:
        """Its link goes down: it runs on, and is not reached."""
        self._set_link(host, "down")

    def restore(self, host: str) -> None:
        self._set_link(host, "up")

    def kill_processes(self, host: str) -> None:
        """All in the host at once, its sshd too, as if it had died: none cleans up after another
        one, and its files stay."""
        _kill_processes(self.hosts[host])

    def start_sshd(self, host: str) -> None:
        """Again, in a host whose processes were killed."""
        number = list(self.hosts).index(host)
        self.daemons[number].wait()
        (self.folder / f"{host}.log").write_text("")
        self.daemons[number] = _start_sshd(self.hosts[host], self.folder)
        _await_daemons(self)

    def kill(self, host: str) -> None:
        """Every process in the host is killed, and the host is gone."""
        _kill_all(self.hosts.pop(host))

    def close(self) -> None:
        for host in (*self.hosts.values(), self.control):
            _kill_all(host)
        for daemon in self.daemons:
            daemon.wait()

    def _set_link(self, host: str, state: str) -> None:
        _run(self.hosts[host].command(["ip", "link", "set", "eth0", state]))


@contextmanager
def open_lab(count: int) -> Iterator[Lab]:
    """`count` running hosts host01, host02, … until the block ends, however it ends."""
    folder = Path(tempfile.mkdtemp(prefix="netlab-"))
    folder.chmod(0o755)
    lab = None
    try:
        _make_keys(folder)
        lab = Lab(folder, _start_host("control", CONTROL, folder))
        _build_bridge(lab.control)
        for number in range(count):
            name = f"host{number + 1:02}"
            host = _start_host(name, f"10.77.0.{FIRST_OF_HOSTS + number}", folder)
            lab.hosts[name] = host
            _connect(host, lab.control)
            lab.daemons.append(_start_sshd(host, folder))
        _await_daemons(lab)
        _write_inventory(lab)
        yield lab
    finally:
        if lab:
            lab.close()
        shutil.rmtree(folder)


def _run(argv: Sequence[str | Path]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stderr}"


def _machine_id(name: str) -> str:
    return md5(f"netlab {name}".encode(), usedforsecurity=False).hexdigest()


def _make_keys(folder: Path) -> None:
    for name in ("key", "host_key"):
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "netlab", "-f", folder / name])
    public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"10.77.0.* {public}")


def _start_host(name: str, address: str, folder: Path) -> Host:
    script = ("sh", "-ec", _HOST_SCRIPT, name, _machine_id(name))
    with (folder / f"{name}.log").open("w") as log:
        holder = subprocess.Popen(
            [*_BOUND, "unshare", *_SPACES, *script], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert holder.stdout is not None
    with holder.stdout as output:
        if output.readline() != "ready\n":
            holder.kill()
            holder.wait()
            raise RuntimeError(f"{name}: {(folder / f'{name}.log').read_text()}")
    return Host(name, address, holder, _network_of(holder.pid))


def _build_bridge(control: Host) -> None:
    for words in (
        "link set lo up",
        "link add br0 type bridge",
        f"address add {control.address}/24 dev br0",
        "link set br0 up",
    ):
        _run(control.command(["ip", *words.split()]))


def _connect(host: Host, control: Host) -> None:
    pair = f"link add {host.name} type veth peer name eth0 netns {host.holder.pid}"
    for place, words in (
        (control, pair),
        (control, f"link set {host.name} master br0 up"),
        (host, "link set lo up"),
        (host, f"address add {host.address}/24 dev eth0"),
        (host, "link set eth0 up"),
    ):
        _run(place.command(["ip", *words.split()]))


def _start_sshd(host: Host, folder: Path) -> subprocess.Popen[bytes]:
    sshd = find_project(SSHD)
    config = folder / f"{host.name}.sshd"
    parts = [
        f"{option} {path}\n"
        for part, option in _SSHD_PARTS.items()
        if (path := sshd / "usr/lib/openssh" / part).exists()
    ]
    config.write_text(_SSHD_CONFIG.format(folder=folder, sshd=sshd) + "".join(parts))
    libraries = ":".join(map(str, sorted(sshd.glob("usr/lib/*-linux-gnu*"))))
    with (folder / f"{host.name}.log").open("a") as log:
        return subprocess.Popen(
            [*_BOUND, *host.command([sshd / "usr/sbin/sshd", "-D", "-e", "-f", config])],
            env=dict(os.environ, LD_LIBRARY_PATH=libraries),
            stderr=log,
        )


def _await_daemons(lab: Lab) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    for host, daemon in zip(lab.hosts.values(), lab.daemons, strict=True):
        log = lab.folder / f"{host.name}.log"
        while "Server listening" not in log.read_text():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd of {host.name} does not listen: {log.read_text()}")
            time.sleep(0.02)


def _write_inventory(lab: Lab) -> None:
    hosts = "".join(f"{host.name} ansible_host={host.address}\n" for host in lab.hosts.values())
    ssh = f"-o UserKnownHostsFile={lab.folder}/known_hosts {_SSH}"
    settings = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": lab.folder / "key",
        "ansible_ssh_common_args": f"'{ssh}'",
        "ansible_remote_tmp": "/run/ansible",
        # Its sockets are named by address alone, and labs have the same addresses.
        "ansible_control_path_dir": lab.folder / "sockets",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    lab.inventory.write_text(f"[fleet]\n{hosts}\n[fleet:vars]\n{lines}")


def _network_of(pid: int | str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def processes_in(network: str) -> list[int]:
    """Every process whose network namespace this is, as "net:[4026531840]"."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if _network_of(process.name) == network:
                found.append(int(process.name))
    return found


def _kill_all(host: Host) -> None:
    """Ends every process in the host, those last that its namespaces are found by."""
    _kill_processes(host)
    host.holder.kill()
    host.holder.wait()


def _kill_processes(host: Host) -> None:
    """All but the one that holds its namespaces; stopped first, so that no one sees another end."""
    while others := set(host.processes()) - {host.holder.pid}:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        time.sleep(0.01)
