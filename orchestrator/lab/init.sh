#!/bin/sh
# First process of a guest: enter the host's file system, run one job, power off.
# The host's files are read-only; with probeplan_files=overlay on the kernel's command line, from
# which init has its environment, they can be written to, and what is written is lost.
# probeplan_root=FOLDER: the guest's root is that folder of the host, whose files are below /host.
# probeplan_job=init: the job takes the place of this process instead, and powers off by itself.
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
if [ "$probeplan_files" = overlay ]; then
    root=/merged folders=run
    must mkdir /merged /written
    must mount -t tmpfs -o mode=755 tmpfs /written
    must mkdir /written/upper /written/work
    layers=lowerdir=/host,upperdir=/written/upper,workdir=/written/work
    must mount -t overlay -o "$layers" overlay /merged
else
    root=/host$probeplan_root folders="run tmp var/tmp"
    [ ! "$probeplan_root" ] || must mount -o bind /host "$root/host"
fi
for folder in $folders; do
    must mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"
done
must mkdir "$root/run/share"
must mount -t 9p -o "$nine" share "$root/run/share"

must mount -t proc proc "$root/proc"
must mount -t sysfs sys "$root/sys"
must mount -t devtmpfs dev "$root/dev"
mkdir -p "$root/dev/pts" "$root/dev/shm"
must mount -t devpts devpts "$root/dev/pts"
must mount -t tmpfs tmpfs "$root/dev/shm"
must mount -t tracefs tracefs "$root/sys/kernel/tracing"
must mount -t debugfs debugfs "$root/sys/kernel/debug"
must mount -t bpf bpf "$root/sys/fs/bpf"
must mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t securityfs securityfs "$root/sys/kernel/security"
must ip link set lo up

report=$root/run/share/.guest
echo "probeplan-guest: job starts"
if [ "$probeplan_job" = init ]; then
    exec >>"$report/stdout" 2>>"$report/stderr" </dev/null
    exec switch_root "$root" /bin/sh /run/share/.guest/job
fi
chroot "$root" /bin/sh /run/share/.guest/job >>"$report/stdout" 2>>"$report/stderr" </dev/null
echo $? >"$report/code.new"
mv "$report/code.new" "$report/code"
poweroff -f
