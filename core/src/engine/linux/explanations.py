"""What the kernel means by an errno, for the call that returned it: one clause for a person, not a cure.

The general meaning of an errno (``strerror``) is rarely what it means for mount(2) or a cgroup file; each table here
was written from the man page of the calls and the kernel's source of the files.
"""

from __future__ import annotations

import errno as e
import os

_ANY = {
    e.ENOSYS: "this kernel does not have the call, or a seccomp filter hides it",
    e.EPERM: "the kernel does not allow it to this process: a capability is missing in the user namespace that counts",
    e.EACCES: "access was refused by the permissions, or by a security module",
    e.ENOMEM: "the kernel has no memory left for it, or the memory cgroup's limit was hit",
    e.ENOSPC: "there is no space left, or a limit on the number of such objects is reached",
    e.ENOENT: "something named does not exist",
    e.ELOOP: "the path has too many symbolic links, or one where none is allowed",
    e.EINVAL: "the kernel does not accept the arguments",
    e.EBUSY: "it is in use",
    e.EROFS: "the filesystem is read-only",
    e.ENAMETOOLONG: "a name or a path is too long",
    e.EMFILE: "this process has too many open descriptors (ulimit -n)",
    e.ENFILE: "the whole machine has too many open descriptors (fs.file-max)",
    e.ESRCH: "the process no longer exists",
    e.EBADF: "a descriptor is closed, or of the wrong kind",
}

_MOUNT = {
    e.EPERM: "mounting needs CAP_SYS_ADMIN in the user namespace of this mount namespace, and a filesystem"
    " that allows it there; a locked flag (read-only, nosuid, nodev, noexec) cannot be taken off",
    e.EINVAL: "the filesystem refused an option, the source is no mount, or the target's propagation forbids it",
    e.ENODEV: "this kernel does not know that filesystem type (is its module loaded?)",
    e.EBUSY: "the source or the target is in use, or is mounted elsewhere in another way (an overlay upper, a device)",
    e.ENOENT: "the source, the target or a path in the options does not exist",
    e.ENOTDIR: "source and target must both be directories, or both be files",
    e.ENOTBLK: "the source is not a block device",
    e.ENXIO: "the device has no driver",
    e.ENOSPC: "this mount namespace has too many mounts (fs.mount-max), or the filesystem is full",
    e.ELOOP: "the path has too many symbolic links, or the mount would contain itself (stacked too deep)",
    e.EROFS: "the device or the filesystem is read-only and was mounted for writing",
    e.EACCES: "a part of the path cannot be searched, or the device is read-only",
    e.ESTALE: "an upper or index directory was made for other lower layers",
    e.E2BIG: "the options are longer than one page",
    e.ENOSYS: "this kernel does not have the call of the newer mount interface (Linux 5.2; mount_setattr 5.12)",
    e.EOPNOTSUPP: "the filesystem does not support what an option asks of it",
}
_UMOUNT = {
    e.EBUSY: "something inside is still open, or is a working directory or a mount",
    e.EINVAL: "it is not a mount point, or it is locked by a more privileged mount namespace",
    e.ENOENT: "the mount point does not exist",
    e.EPERM: "unmounting needs CAP_SYS_ADMIN in the user namespace of this mount namespace",
}
_PIVOT = {
    e.EBUSY: "the new root is the present root, or lies on the same mount",
    e.EINVAL: "the new root is no mount point, a parent mount is shared, or the present root is the initial ramfs",
    e.ENOTDIR: "the new root or the place for the old one is no directory",
    e.EPERM: "changing the root needs CAP_SYS_ADMIN in the user namespace of this mount namespace",
}
_CLONE = {
    e.EPERM: "making namespaces needs CAP_SYS_ADMIN, or a user namespace that this system lets unprivileged users make",
    e.ENOSPC: "a limit on nested or counted namespaces is reached (user.max_*_namespaces, 32 levels)",
    e.EUSERS: "user namespaces are nested too deep",
    e.EINVAL: "these flags exclude each other, or this kernel lacks one of the namespaces",
    e.EAGAIN: "the limit on processes is reached: pids.max of a cgroup, RLIMIT_NPROC, or kernel.pid_max",
    e.EBUSY: "the cgroup to start in has controllers enabled for its children, so it cannot hold processes",
    e.EOPNOTSUPP: "the cgroup to start in is of a threaded or invalid domain",
    e.ENODEV: "the cgroup to start in is being removed",
    e.EACCES: "the cgroup to start in is outside of what this process may move processes to",
    e.EBADF: "the descriptor of the cgroup to start in is not a directory of the cgroup v2 hierarchy",
    e.ENOMEM: "the kernel has no memory for another process, or the pid namespace has lost its init",
}
_SETNS = {
    e.EPERM: "joining needs CAP_SYS_ADMIN in the namespace's user namespace (and CAP_SYS_CHROOT for a mount namespace)",
    e.EINVAL: "the descriptor is of another kind of namespace, or this process is in it already (user),"
    " shares its filesystem state with others or has threads",
    e.ESRCH: "the process whose namespaces are to be joined no longer exists",
    e.EBADF: "the descriptor is neither a namespace nor a pidfd",
    e.EUSERS: "a limit on joined time or user namespaces is reached",
}
_EXEC = {
    e.ENOENT: "the file does not exist, or its interpreter (a script's first line, a loader) does not",
    e.EACCES: "the file is not executable by this user, is on a noexec mount, or is no regular file",
    e.ENOEXEC: "the file has no format the kernel can run (a script without an interpreter line, another architecture)",
    e.EISDIR: "its interpreter is a directory",
    e.ENOTDIR: "a part of the path is not a directory",
    e.E2BIG: "arguments and environment together are too large",
    e.ETXTBSY: "the file is open for writing",
    e.ELOOP: "there are too many symbolic links, or interpreters of interpreters",
    e.EPERM: "the kernel refuses it: a set-user-ID file under no_new_privs with other limits, or a file capability that"
    " the bounding set lacks",
    e.EAGAIN: "the user has more processes than RLIMIT_NPROC allows",
    e.ELIBBAD: "its interpreter is in no format the kernel can run",
}
_CGROUP = {
    e.EBUSY: "the group has processes or child groups where the kernel allows none of both",
    e.EINVAL: "the kernel does not accept the value, or a limit below it, or a cpuset that is still empty",
    e.ENOSPC: "the group has no cpus or memory nodes yet (cpuset), so it cannot take a process",
    e.ERANGE: "the value is out of the range that the controller accepts",
    e.EPERM: "the parent group does not allow it, or the hierarchy is owned by another user or read-only",
    e.EACCES: "the parent's own limit is lower, the hierarchy is read-only, or this user may not write there",
    e.ENOENT: "the group does not exist, or the controller is not enabled in its parent",
    e.ESRCH: "the process no longer exists",
    e.EOPNOTSUPP: "the group is threaded or of an invalid type, so it cannot do that",
    e.ENODEV: "the group is being removed, or a device is unknown",
    e.EAGAIN: "the kernel could not finish now, try again (memory still to be reclaimed, a fork under way)",
    e.EROFS: "the cgroup filesystem is mounted read-only",
    e.ENOTEMPTY: "the group still has child groups",
    e.EEXIST: "a group of that name is there already",
}
_OPEN = {
    e.EXDEV: "the path leads out of the directory it must stay in",
    e.ELOOP: "a symbolic link or a magic link of /proc is where none is allowed, or there are too many",
    e.EAGAIN: "the tree was being renamed while the path was resolved; trying again may help",
    e.ENXIO: "it is a fifo without a reader, a socket, or a device without a driver",
    e.ENOTDIR: "a part of the path is not a directory",
    e.EISDIR: "it is a directory",
    e.EEXIST: "it exists already",
    e.ENOENT: "the file or a directory on the way does not exist",
    e.EFBIG: "the file is larger than the limit on what is read",
}
_ID_MAP = {
    e.EPERM: "the map was written before, it maps ids that the writer does not hold, or setgroups was not denied first",
    e.EINVAL: "the rows overlap, are empty, or are more than 340",
    e.ENOSPC: "the rows are longer than one page",
}
_SECCOMP = {
    e.EACCES: "a filter needs no_new_privs, or CAP_SYS_ADMIN in this user namespace",
    e.EINVAL: "the program is not valid BPF, is too long, or a flag is unknown to this kernel",
    e.ENOMEM: "all filters of the process together are too long",
    e.EBUSY: "a notification listener is installed already",
    e.ESRCH: "another thread has a filter that this one cannot take over",
}
_CAPABILITY = {
    e.EPERM: "a capability cannot be gained: it must be permitted first, and in the bounding set for inheriting",
    e.EINVAL: "the kernel does not know that capability",
}
_IDENTITY = {
    e.EPERM: "changing ids needs CAP_SETUID or CAP_SETGID, and setgroups must not be denied in this user namespace",
    e.EINVAL: "the id has no mapping in this user namespace, or there are too many groups",
    e.EAGAIN: "the user has more processes than RLIMIT_NPROC allows",
}
_NODE = {
    e.EPERM: "device nodes need CAP_MKNOD in the first user namespace, and a filesystem that allows them",
    e.EEXIST: "a file of that name is there already",
    e.EROFS: "the filesystem is read-only",
}
_RLIMIT = {
    e.EPERM: "raising a hard limit needs CAP_SYS_RESOURCE in the first user namespace; nofile never passes fs.nr_open",
    e.EINVAL: "the soft limit is above the hard one, or the limit is unknown",
}
_PIDFD = {
    e.ESRCH: "the process no longer exists, or was reaped",
    e.EINVAL: "the process id is no thread-group leader, or a flag is unknown",
    e.EPERM: "this process may not signal or inspect the other one",
    e.EBADF: "the descriptor is no pidfd, or the other process has no such descriptor",
}
_KEY = {
    e.EDQUOT: "the user has too many keys (kernel.keys.maxkeys)",
    e.EACCES: "the keyring is not this user's",
    e.EPERM: "a seccomp filter or a security module forbids keyrings",
}

_CALLS: dict[str, dict[int, str]] = {
    **dict.fromkeys(
        ("mount", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr"), _MOUNT
    ),
    **dict.fromkeys(("umount", "umount2"), _UMOUNT),
    **dict.fromkeys(("clone", "clone3", "fork", "unshare"), _CLONE),
    **dict.fromkeys(("exec", "execve", "execveat"), _EXEC),
    **dict.fromkeys(("cgroup", "cgroup write", "cgroup mkdir", "cgroup rmdir"), _CGROUP),
    **dict.fromkeys(("open", "openat2", "mkdir", "read"), _OPEN),
    **dict.fromkeys(("id map", "uid_map", "gid_map", "setgroups file"), _ID_MAP),
    **dict.fromkeys(("capset", "capability", "prctl"), _CAPABILITY),
    **dict.fromkeys(("setuid", "setgid", "setgroups", "setresuid", "setresgid"), _IDENTITY),
    **dict.fromkeys(("pidfd", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "kill"), _PIDFD),
    **dict.fromkeys(("setrlimit", "prlimit"), _RLIMIT),
    "pivot_root": _PIVOT, "setns": _SETNS, "seccomp": _SECCOMP, "mknod": _NODE, "keyctl": _KEY,
}  # fmt: skip


def explain(errno: int, call: str) -> str:
    """Return what the kernel means by ``errno`` when ``call`` fails with it: one clause, no full stop.

    ``call`` is a system call's name, or a family that has no call of its own: "cgroup write", "cgroup rmdir", "id map".
    An unknown call gets the general meaning, and an errno of no special meaning the C library's words for it.
    """
    meaning = _CALLS.get(call, _ANY).get(errno) or _ANY.get(errno)
    if meaning is not None:
        return meaning
    words = os.strerror(errno)
    return words[:1].lower() + words[1:]
