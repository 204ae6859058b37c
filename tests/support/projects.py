"""Programs of others, which scripts/fetch_projects.sh has put into the cache."""

import os
from pathlib import Path

__all__ = [
    "DNSMASQ",
    "MARIADB",
    "NGINX",
    "PLUGGY",
    "PODMAN",
    "POSTGRES",
    "PROMETHEUS",
    "REDIS",
    "SSHD",
    "SUDO",
    "VICTORIA_METRICS",
    "find_project",
]

PLUGGY, NGINX, SSHD, PROMETHEUS = "pluggy-1.6.0", "nginx", "sshd", "prometheus"
VICTORIA_METRICS, REDIS, DNSMASQ = "victoria-metrics", "redis", "dnsmasq"
POSTGRES, MARIADB = "postgres", "mariadb"
SUDO, PODMAN = "sudo", "podman"


def find_project(name: str) -> Path:
    """The folder of a program; raises FileNotFoundError with what fetches it."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("PROBEPLAN_CACHE") or Path(user) / "probeplan")
    folder = cache / "projects" / name
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there: run scripts/fetch_projects.sh")
    return folder
