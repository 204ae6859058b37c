"""System calls by what they do: the one table that shipped plans are held against.

Every system call of every recorded kernel is in it, so that a kernel with a new one fails the test
until it is known which plans concern it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Calls that one plan is about: it attaches each of them that a kernel has, but those
    `excused`, each with the reason, which the plan's description gives too. `ring`: io_uring does
    the same without a call."""

    calls: str
    excused: Mapping[str, str] = field(default_factory=dict)
    ring: bool = False

    @property
    def members(self) -> frozenset[str]:
        """The calls, excused or not."""
        return frozenset(self.calls.split()) | frozenset(self.excused)


#: By plan.
FAMILIES: Mapping[str, Family] = {
    "opens": Family(
        calls="open openat openat2 creat",
        excused={"open_by_handle_at": "no path: it opens by a handle"},
        ring=True,
    ),
    "file-changes": Family(
        calls="open openat openat2 creat mkdir mkdirat mknod mknodat link linkat symlink symlinkat "
        "unlink unlinkat rmdir rename renameat renameat2",
        excused=dict.fromkeys(
            ("truncate", "ftruncate", "fallocate"), "changes contents, not the file's existence"
        ),
        ring=True,
    ),
    "slow-io": Family(
        calls="read pread64 readv preadv preadv2 write pwrite64 writev pwritev pwritev2",
        excused={
            **dict.fromkeys(
                ("sendfile64", "splice", "tee", "vmsplice", "copy_file_range"),
                "moves data between two descriptors",
            ),
            **dict.fromkeys(
                ("sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg"),
                "of sockets alone",
            ),
            "io_submit": "asynchronous: the call does not wait",
        },
        ring=True,
    ),
    "fsync": Family(
        calls="fsync fdatasync sync syncfs msync sync_file_range sync_file_range2", ring=True
    ),
    "stats": Family(
        calls="newfstatat statx newstat newlstat stat lstat",
        excused={
            "newfstat": "no path: of a descriptor",
            "file_getattr": "the flags of lsattr(1), not stat(2)",
            **dict.fromkeys(("access", "faccessat", "faccessat2"), "asks for permission"),
            **dict.fromkeys(("readlink", "readlinkat"), "asks where a link leads"),
            **dict.fromkeys(("statfs", "fstatfs", "ustat"), "asks about a file system"),
        },
        ring=True,
    ),
    "mounts": Family(
        calls="mount umount move_mount",
        excused={
            **dict.fromkeys(
                ("fsopen", "fsconfig", "fsmount", "fspick", "open_tree", "open_tree_attr"),
                "prepares what move_mount attaches",
            ),
            "mount_setattr": "changes a mount's flags",
            "pivot_root": "exchanges roots",
            **dict.fromkeys(("statmount", "listmount"), "only asks"),
        },
    ),
    "kills": Family(calls="kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal"),
    "permission-changes": Family(
        calls="chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat",
        excused={
            **dict.fromkeys(
                ("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
                "extended attributes, which access control lists are",
            ),
            **dict.fromkeys(
                ("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
                "extended attributes, which access control lists are",
            ),
            "file_setattr": "file flags",
        },
    ),
    "privilege-changes": Family(
        calls="setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid "
        "capset",
        excused={
            "prctl": "mostly about other things",
            **dict.fromkeys(("unshare", "setns"), "mostly about other things than user namespaces"),
        },
    ),
    "process-access": Family(
        calls="ptrace process_vm_readv process_vm_writev pidfd_getfd",
        excused={
            **dict.fromkeys(("process_madvise", "process_mrelease"), "reads and writes nothing"),
            **dict.fromkeys(("kcmp", "pidfd_open"), "reads and writes nothing"),
            **dict.fromkeys(("move_pages", "migrate_pages"), "reads and writes nothing"),
        },
    ),
    "memory-maps": Family(
        calls="mmap munmap brk mprotect madvise mremap",
        excused={
            **dict.fromkeys(("pkey_mprotect", "mseal"), "protects what is mapped"),
            "remap_file_pages": "deprecated; the kernel emulates it",
            "map_shadow_stack": "made by the loader once a thread",
        },
    ),
    "shared-memory": Family(calls="shmget shmat shmdt shmctl"),
    "binds": Family(calls="bind", ring=True),
    "bpf-calls": Family(calls="bpf"),
    "futex-waits": Family(
        calls="futex futex_wait futex_waitv",
        excused=dict.fromkeys(("futex_wake", "futex_requeue"), "does not wait"),
    ),
}

_OTHERS = """
    accept accept4 acct add_key adjtimex alarm arch_prctl arm64_personality cachestat capget chdir
    chroot clock_adjtime clock_getres clock_gettime clock_nanosleep clock_settime clone clone3 close
    close_range connect delete_module dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait
    epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group fadvise64 fadvise64_64
    fanotify_init fanotify_mark fchdir fchroot fcntl fgetxattr finit_module flistxattr flock fork
    futimesat get_mempolicy get_robust_list getcpu getcwd getdents getdents64 getegid geteuid getgid
    getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
    getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
    getxattrat init_module inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
    io_destroy io_getevents io_pgetevents io_setup io_uring_enter io_uring_register io_uring_setup
    ioctl ioperm iopl ioprio_get ioprio_set kexec_file_load kexec_load keyctl landlock_add_rule
    landlock_create_ruleset landlock_restrict_self lgetxattr listen listns listxattr listxattrat
    llistxattr lookup_dcookie lseek lsm_get_self_attr lsm_list_modules lsm_set_self_attr mbind
    membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall modify_ldt mq_getsetattr
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd munlock
    munlockall name_to_handle_at nanosleep newuname pause perf_event_open personality pipe pipe2
    pkey_alloc pkey_free poll ppoll prlimit64 pselect6 quotactl quotactl_fd readahead reboot
    request_key restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn
    rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
    semtimedop set_mempolicy set_mempolicy_home_node set_robust_list set_tid_address setdomainname
    sethostname setitimer setpgid setpriority setrlimit setsid setsockopt settimeofday shutdown
    sigaltstack signalfd signalfd4 socket socketpair swapoff swapon sysfs sysinfo syslog time
    timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
    timerfd_gettime timerfd_settime times umask uprobe uretprobe userfaultfd utime utimensat utimes
    vfork vhangup wait4 waitid
"""
#: What no plan is about as a family.
OTHERS = frozenset(_OTHERS.split())
