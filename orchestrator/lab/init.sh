#!/bin/sh
# First process of a guest: enter the host's file system (read-only), run one job, power off.
# The job and its outcome travel in the share's folder .guest; the console gets the story.

give_up() {
    echo "probeplan-guest: $*"
    poweroff -f
}
must() {
    "$@" || give_up "failed: $*"
}

mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
    [ ! -e "$module" ] || must insmod "$module"
done

nine=trans=virtio,version=9p2000.L,msize=512000
must mount -t 9p -o "ro,$nine,cache=loose" hostroot /host
for folder in run tmp var/tmp; do
    must mount -t tmpfs -o mode=1777 tmpfs "/host/$folder"
done
must mkdir /host/run/share
must mount -t 9p -o "$nine" share /host/run/share

must mount -t proc proc /host/proc
must mount -t sysfs sys /host/sys
must mount -t devtmpfs dev /host/dev
mkdir -p /host/dev/pts /host/dev/shm
must mount -t devpts devpts /host/dev/pts
must mount -t tmpfs tmpfs /host/dev/shm
must mount -t tracefs tracefs /host/sys/kernel/tracing
must mount -t debugfs debugfs /host/sys/kernel/debug
must mount -t bpf bpf /host/sys/fs/bpf
must mount -t cgroup2 cgroup2 /host/sys/fs/cgroup
mount -t securityfs securityfs /host/sys/kernel/security
must ip link set lo up

report=/host/run/share/.guest
echo "probeplan-guest: job starts"
chroot /host /bin/sh /run/share/.guest/job >"$report/stdout" 2>"$report/stderr" </dev/null
echo $? >"$report/code.new"
mv "$report/code.new" "$report/code"
poweroff -f
