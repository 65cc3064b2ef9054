"""The default seccomp profile: which system calls a container may make, by its capabilities. Pure.

It allows no call that Docker's default profile denies for the same capabilities, and so denies what reaches past the
container: other namespaces, mounts, kernel modules, the clock, keyrings, io_uring, BPF, NUMA placement. What is denied
fails with EPERM. clone3(2) fails with ENOSYS, since a filter cannot look at its flags, and C libraries then use
clone(2); a call newer than every call of the profile fails so too (a runtime adds that, it knows the numbers).

Facts: seccomp(2), capabilities(7), the table of calls of each architecture, and Docker's documentation of its profile.
"""

from __future__ import annotations

import errno

from engine.errors import Unsupported
from engine.spec.runtime import Seccomp, SyscallArg, SyscallRule

_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
_OF_MACHINE = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
}

_FILES = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
    fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64
    fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listxattr llistxattr _llseek
    lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat
    openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr
    rename renameat renameat2 rmdir sendfile sendfile64 setxattr splice stat stat64 statfs statfs64 statx symlink
    symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
    utimensat_time64 utimes vmsplice write writev
"""
_MEMORY = """
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
    mmap2 mprotect mremap msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages
"""
_PROCESSES = """
    alarm capget capset execve execveat exit exit_group fork getcpu getegid getegid32 geteuid geteuid32 getgid
    getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid
    getresuid32 getrlimit get_robust_list getrusage getsid get_thread_area gettid getuid getuid32 ioprio_get
    ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open
    pidfd_send_signal prctl prlimit64 process_mrelease process_vm_readv process_vm_writev ptrace restart_syscall
    rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max
    sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid setfsuid32
    setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
    setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid set_thread_area set_tid_address setuid setuid32
    sigaltstack signalfd signalfd4 sigprocmask sigreturn sysinfo tgkill times tkill ugetrlimit uname vfork wait4
    waitid waitpid
"""
_WAITING = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake io_cancel io_destroy io_getevents
    io_pgetevents io_pgetevents_time64 io_setup io_submit _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6
    pselect6_time64 select
"""
_TIME = """
    adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64
"""
_COMMUNICATION = """
    accept accept4 bind connect getpeername getrandom getsockname getsockopt ipc listen mq_getsetattr mq_notify
    mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv
    msgsnd recv recvfrom recvmmsg recvmmsg_time64 recvmsg semctl semget semop semtimedop semtimedop_time64 send
    sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketcall socketpair
"""
_BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_NAMESPACE_FLAGS = 0x7E020000
"""Every CLONE_NEW* flag of clone(2)."""
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""personality(2): PER_LINUX, PER_LINUX32, both with UNAME26, and the question which one it is."""
_SOCKET_FAMILIES_BELOW = 12
"""Unix, IP and the old networks; AF_ALG (38) and AF_VSOCK (40), which reaches the hypervisor, are not among them."""
_SOCKET_FAMILIES = {
    "KEY": 15,
    "NETLINK": 16,
    "PACKET": 17,
    "CAN": 29,
    "TIPC": 30,
    "BLUETOOTH": 31,
    "SMC": 43,
    "XDP": 44,
}


def default_profile(capabilities: frozenset[str], architecture: str) -> Seccomp:
    """Return the profile for a container that has ``capabilities`` ("CAP_CHOWN", …) in its bounding set.

    ``architecture`` is the machine as uname(2) or the image specification names it. Raises `Unsupported` for one whose
    calls are not known here.
    """
    machine = _ALIASES.get(architecture, architecture)
    if machine not in _ARCHITECTURES:
        raise Unsupported(
            f"there is no default seccomp profile for {architecture}",
            fix="Use --security-opt seccomp=FILE with a profile of your own, or seccomp=unconfined.",
        )
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": _ARCHITECTURES[machine],
        "syscalls": [
            _allow(_names(machine, capabilities)),
            *(_allow(["personality"], "SCMP_CMP_EQ", value) for value in _PERSONALITIES),
            _allow(["socket"], "SCMP_CMP_LT", _SOCKET_FAMILIES_BELOW),
            *(_allow(["socket"], "SCMP_CMP_EQ", family) for family in _SOCKET_FAMILIES.values()),
            *_clone(capabilities),
        ],
    }


def _names(machine: str, capabilities: frozenset[str]) -> list[str]:
    groups = [_FILES, _MEMORY, _PROCESSES, _WAITING, _TIME, _COMMUNICATION, _OF_MACHINE[machine]]
    groups += [names for capability, names in _BY_CAPABILITY.items() if capability in capabilities]
    return sorted({name for group in groups for name in group.split()})


def _clone(capabilities: frozenset[str]) -> list[SyscallRule]:
    """Return what a container without CAP_SYS_ADMIN may do: make processes and threads, no namespaces."""
    if "CAP_SYS_ADMIN" in capabilities:
        return []
    return [
        _allow(["clone"], "SCMP_CMP_MASKED_EQ", _NAMESPACE_FLAGS, 0),
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
    ]


def _allow(names: list[str], operator: str = "", value: int = 0, value_two: int = 0) -> SyscallRule:
    rule: SyscallRule = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if operator:
        condition: SyscallArg = {"index": 0, "op": operator, "value": value}
        if value_two or operator == "SCMP_CMP_MASKED_EQ":
            condition["valueTwo"] = value_two
        rule["args"] = [condition]
    return rule
