"""What a person can do about an errno: one line for each, and for each family of calls one for the rest.

The companion of `engine.linux.explanations`, which says what the errno means.
"""

from __future__ import annotations

import errno as e

_BY_ERRNO = {
    e.ENOSPC: "Free some space or inodes there, or use another --root; `df -h` and `df -i` show what is full.",
    e.EDQUOT: "Free some space or raise the quota there, or use another --root.",
    e.EMFILE: "Raise the limit of open files (ulimit -n), then run the command again.",
    e.ENFILE: "Close other programs, or raise fs.file-max.",
    e.ENOMEM: "Free some memory, or raise the container's --memory.",
    e.EROFS: "Make the filesystem writable, or use another --root.",
    e.EAGAIN: "Raise the limit on processes (--pids-limit, ulimit -u), or end some.",
}
_BY_CALL = {
    "mount": "Look at what the image has at that place (`engine run --rm IMAGE ls -la /`), and at the mount's options.",
    "cgroup": "Look at the parent cgroup and its limits (--cgroup-parent), or try another --cgroup-driver.",
    "clone": "Look at the limits on namespaces (sysctl user) and on processes, and at --namespace.",
    "setns": "Look at whether the process whose namespace is joined still runs, and as whom.",
    "seccomp": "Try --security-opt seccomp=unconfined to see whether the profile is the cause.",
    "capability": "Take the capability out of --cap-add, or run the engine with it.",
    "rlimit": "Ask for no more than the machine's own limit (`ulimit -H -a`), or run the engine with CAP_SYS_RESOURCE.",
    "setuid": "Look at --user, and at the identity map of the user namespace.",
    "open": "Look at what the image has at that place (`engine run --rm IMAGE ls -la /`).",
}
_OTHER = "Run it as `engine --debug ...` for more, and `engine info` for what this machine has."


def advise(number: int, call: str) -> str:
    """Return what to do about errno ``number`` of a call of the family ``call``; never empty."""
    return _BY_ERRNO.get(number) or _BY_CALL.get(call, _OTHER)
