#!/probeplan/bin/sh
# First process of a deterministic machine: all files are in memory already; run one program, power
# off. What it found out goes to the second serial line, the console gets what went wrong.

export PATH=/probeplan/bin

give_up() {
    echo "probeplan-machine: $*"
    poweroff -f
}
must() {
    "$@" || give_up "failed: $*"
}

must mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
must mount -t devpts devpts /dev/pts
must mount -t tmpfs -o mode=1777 tmpfs /dev/shm
must mount -t proc proc /proc
must mount -t sysfs sys /sys
must mount -t tracefs tracefs /sys/kernel/tracing
must mount -t bpf bpf /sys/fs/bpf
must mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t securityfs securityfs /sys/kernel/security

while read -r module; do
    # Words of the line are the file and the module's parameters.
    must insmod $module
done </probeplan/modules/list
must ip link set lo up

if [ -e /probeplan/disk ]; then
    must sh /probeplan/disk
fi

echo "probeplan-machine: program starts"
sh /probeplan/program </dev/null
echo "probeplan-machine: program ended with $?"
poweroff -f
