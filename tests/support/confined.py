"""A run as no one, with the capabilities named and no other. Imports nothing of pytest's: guests
use it too."""

import os
import subprocess
import sys
from collections.abc import Sequence

from tests.support.paths import ROOT

NOBODY = 65534


def confined(
    plan: str, backend: str, *capabilities: str, command: Sequence[str], group: int = NOBODY
) -> "subprocess.CompletedProcess[str]":
    """`run PLAN -- PYTHON command…`. The tree and its environment are mounted where all may look,
    and journals kept where this run alone sees them."""
    given = ",".join(f"+{name}" for name in capabilities)
    mounted = (
        f"mount --bind . /mnt && mount --bind {sys.prefix} /srv && "
        "mount -t tmpfs -o mode=1777 none /run && "
        "mount -t tmpfs -o mode=1777 none /var/tmp && cd /mnt && exec "
    )
    setpriv = (
        f"setpriv --reuid={NOBODY} --regid={group} --clear-groups --bounding-set=-all,{given} "
        f"--inh-caps=-all,{given} --ambient-caps=-all,{given} "
    )
    python = "/srv/bin/python -m orchestrator.cli run"
    words = " ".join(f"'{word}'" for word in ("/srv/bin/python", *command))
    shell = f"{mounted}{setpriv}{python} {plan} --no-progress --backend {backend} -- {words}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", shell],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": "/run"},
        check=False,
    )
