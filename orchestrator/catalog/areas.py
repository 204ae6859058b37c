"""The areas of the shipped plans: the folders of plans/, in the order in which they are listed."""

from collections.abc import Mapping

__all__ = ["AREAS", "SITE"]

#: By folder, the heading for people.
AREAS: Mapping[str, str] = {
    "fs": "Files",
    "block": "Block devices",
    "net": "Network",
    "sched": "Scheduler",
    "mm": "Memory",
    "process": "Processes",
    "syscalls": "System calls",
    "locks": "Locks",
    "security": "Security",
    "apps": "Applications",
    "functions": "Any function",
}
#: Of the plans that a site keeps on its hosts.
SITE = "site"
