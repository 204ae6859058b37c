#!/bin/sh
# The first process of a guest: makes it a host where probeplan and its units are installed, and
# becomes systemd. usage: start.sh CHECKOUT LIBRARIES PYTHON
# The manager sees no units but those below: what else this machine starts is not part of the test.
set -e
checkout=$1 libraries=$2 python=$3
units=/run/proof/units
mkdir -p $units /run/proof/checkout /run/proof/libraries

# Readable for a user without rights, wherever the checkout is.
mount --bind "$checkout" /run/proof/checkout
mount --bind "$libraries" /run/proof/libraries
cat >/usr/bin/probeplan <<END
#!$python
import sys
sys.path[:0] = ["/run/proof/checkout", "/run/proof/libraries"]
sys.dont_write_bytecode = True
from orchestrator.cli import main
sys.exit(main())
END
chmod 755 /usr/bin/probeplan

rm -rf /.dockerenv /etc/systemd/system/* /etc/systemd/journald.conf.d /var/lib/probeplan /etc/probeplan
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/proof.conf
cp "$checkout"/examples/systemd/* $units
for unit in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket \
    sysinit.target basic.target sockets.target timers.target shutdown.target umount.target \
    network.target paths.target slices.target final.target; do
    cp /lib/systemd/system/$unit $units
done
cat >$units/proof.service <<END
[Unit]
Description=the cases of the proof
Wants=systemd-journald.service
After=systemd-journald.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
WorkingDirectory=/run/proof/checkout
Environment=PROBEPLAN_SHARE=$PROBEPLAN_SHARE PYTHONDONTWRITEBYTECODE=1
ExecStart=$python -m tests.guest.systemd.cases
StandardOutput=append:/run/share/.guest/stdout
StandardError=append:/run/share/.guest/stderr
ExecStopPost=/bin/sh -c 'echo \$\$EXIT_STATUS >/run/share/.guest/code; exec systemctl poweroff -ff'
END
export SYSTEMD_UNIT_PATH=/etc/systemd/system:$units SYSTEMD_GENERATOR_PATH=/nonexistent
exec /lib/systemd/systemd --unit=proof.service --log-target=console --show-status=no
