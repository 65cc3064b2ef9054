"""What strace sees of a run, one word or two for each call that changes something, and what each deed must have made.

A call is written as ``name subject``, a path inside the container's root as if that were ``/``. A deed's pattern is
a regular expression over such lines; the patterns of a process's deeds, in order, must match its calls from the first
to the last. So each deed has its calls, and each call its deed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

TRACED = (
    "unshare,setns,clone,clone3,mount,umount2,fsopen,move_mount,open_tree,pivot_root,mkdir,openat,write,ioctl,"
    "sethostname,execve,prlimit64,seccomp,capset,setresuid,mknodat,symlinkat,keyctl"
)
_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)")
_UNFINISHED = " <unfinished ...>"
_CGROUPS = "/sys/fs/cgroup/"


class Calls:
    """The calls of the shim, from its first to the clone and on, and those of the container's first process."""

    def __init__(self, trace: Path, rootfs: str) -> None:
        self._rootfs = rootfs
        lines = _whole(trace.read_text(errors="replace").splitlines())
        self.container_pid = next(line.split()[0] for line in lines if " pivot_root(" in line)
        self.shim_pid = next(line.split()[0] for line in lines if " unshare(CLONE_NEWNS)" in line)
        begun = next(number for number, line in enumerate(lines) if " unshare(CLONE_NEWNS)" in line)
        own = (number for number, line in enumerate(lines) if line.startswith(self.container_pid))
        executed = [number for number in own if " execve(" in lines[number]][-1]
        self.shim = [*self._of(self.shim_pid, lines[begun : executed + 1])]
        self.container = [*self._of(self.container_pid, lines[begun : executed + 1])]

    def _of(self, pid: str, lines: Iterable[str]) -> Iterable[str]:
        for line in lines:
            match = _LINE.match(line)
            if match is None or match["pid"] != pid or re.search(r"\) += -1 E", line):
                continue
            word = self._word(match["call"], match["rest"])
            if word:
                yield word

    def _word(self, call: str, rest: str) -> str:
        """Return a call's line, or "" for one that changes nothing beyond the process."""
        texts = re.findall(r'"([^"]*)"', rest)
        descriptors = re.findall(r"<([^>]*)>", rest)
        words: dict[str, Callable[[], str]] = {
            "unshare": lambda: rest.partition(")")[0],
            "setns": lambda: descriptors[0],
            "mount": lambda: texts[0],
            "fsopen": lambda: texts[0],
            "move_mount": lambda: self._inside(os.path.join(descriptors[1], texts[1])),
            "open_tree": lambda: self._inside(os.path.join(descriptors[0], texts[0])),
            "mkdir": lambda: texts[0],
            "sethostname": lambda: texts[0],
            "execve": lambda: texts[0],
            "mknodat": lambda: self._inside(os.path.join(descriptors[0], texts[0])),
            "symlinkat": lambda: self._inside(os.path.join(descriptors[0], texts[1])),
            "prlimit64": lambda: re.split(r"[ ,]+", rest)[1],
            "clone3": lambda: " ".join(sorted(re.findall(r"CLONE_NEW\w+", rest))),
            "ioctl": lambda: re.split(r"[ ,]+", rest)[1],
            "openat": lambda: texts[0],
            "write": lambda: descriptors[0],
        }
        subject = words.get(call, lambda: "")()
        if call in {"openat", "write"} and (
            not subject.startswith(_CGROUPS) or (call == "openat" and "RDONLY" in rest)
        ):
            return ""
        if call == "openat" and not subject.endswith("/tasks"):
            return ""  # the write that follows counts
        if (call == "prlimit64" and ", NULL, " in rest) or (call == "ioctl" and subject != "SIOCSIFFLAGS"):
            return ""
        return f"{call} {subject}".rstrip()

    def _inside(self, path: str) -> str:
        whole = os.path.normpath(path)
        below = whole.removeprefix(self._rootfs)
        return whole if below == whole else below or "/"


def _whole(lines: Iterable[str]) -> list[str]:
    """Return the lines with each call that another process interrupted on one line, where it began."""
    whole: list[str] = []
    open_at: dict[str, int] = {}
    for line in lines:
        resumed = _RESUMED.match(line)
        if resumed is not None and resumed["pid"] in open_at:
            whole[open_at.pop(resumed["pid"])] += resumed["rest"]
            continue
        if line.endswith(_UNFINISHED):
            open_at[line.split()[0]] = len(whole)
        whole.append(line.removesuffix(_UNFINISHED))
    return whole


def pattern(deed: dict[str, Any]) -> str:
    """Return what a deed must have called. Raises `KeyError` for one that nobody has written down here."""
    return "".join(line if not line or line.startswith("(?") else f"{line}\n" for line in _lines(deed))


def _lines(deed: dict[str, Any]) -> Iterable[str]:
    arguments = deed["Arguments"]
    return _PATTERNS[deed["Action"] or deed["Call"]](arguments, deed["Sentence"])


def _make_cgroup(arguments: dict[str, Any], _sentence: str) -> Iterable[str]:
    for directory in dict.fromkeys([arguments["v2"], *(path for _name, path in arguments["v1"])]):
        yield rf"(?:mkdir {_CGROUPS}\S+\n)*"
        yield f"mkdir {re.escape(directory)}"
        yield r"(?:write \S+/cpuset\.\w+\n)*" if "cpuset" in directory else ""


def _read_only(arguments: dict[str, Any], _sentence: str) -> Iterable[str]:
    for path in arguments["paths"]:
        yield f"(?:open_tree {re.escape(path)}\nmove_mount {re.escape(path)}\n)?"


def _mask(arguments: dict[str, Any], _sentence: str) -> Iterable[str]:
    for path in arguments["paths"]:
        yield f"(?:(?:fsopen tmpfs|open_tree /dev/null)\nmove_mount {re.escape(path)}\n)?"


def _show_cgroups(arguments: dict[str, Any], _sentence: str) -> Iterable[str]:
    target, rows = arguments["target"], arguments["hierarchies"]
    if len(rows) == 1 and not rows[0][0]:
        return [f"move_mount {target}"]
    below = [f"move_mount {target}/{re.escape(row[0])}" for row in rows]
    return [
        "fsopen tmpfs",
        f"move_mount {target}",
        *below,
        *(f"symlinkat {target}/{link[0]}" for link in arguments["links"]),
    ]


def _clone(_arguments: dict[str, Any], sentence: str) -> Iterable[str]:
    names = {"mount": "NS", "uts": "UTS", "ipc": "IPC", "pid": "PID", "net": "NET", "user": "USER", "time": "TIME"}
    kinds = re.findall(r"\w+", sentence.removeprefix("clone into new").removesuffix("namespaces"))
    return ["clone3 " + " ".join(sorted(f"CLONE_NEW{names[kind]}" for kind in kinds))]


def _unshare(_arguments: dict[str, Any], sentence: str) -> Iterable[str]:
    if sentence.startswith("make new cgroup"):
        return [r"(?:open_tree /sys/fs/cgroup\S*\n)*", "unshare CLONE_NEWCGROUP"]
    return ["unshare CLONE_NEWNS", "mount /"]


_PATTERNS: dict[str, Callable[[dict[str, Any], str], Iterable[str]]] = {
    "unshare": _unshare,
    "clone3": _clone,
    "mount": lambda _a, _s: ["mount /", "open_tree /", "move_mount /"],
    "pivot_root": lambda _a, _s: ["pivot_root", "umount2"],
    "execve": lambda _a, _s: [r"execve \S+/true"],
    "MountRootfs": lambda a, _s: [line for row in a["rows"] for line in (f"fsopen {row[0]}", "move_mount /")],
    "MakeCgroup": _make_cgroup,
    "WriteCgroup": lambda a, _s: [f"write {re.escape(a['path'])}"],
    "OpenCgroup": lambda _a, _s: [],
    "OpenEntrances": lambda a, _s: [f"openat {re.escape(path)}/tasks" for path in a["paths"]],
    "EnterCgroups": lambda a, _s: [f"write {re.escape(path)}/tasks" for path in a["paths"]],
    "CloseEntrances": lambda _a, _s: [],
    "OpenBind": lambda a, _s: [f"open_tree {re.escape(a['source'])}"],
    "AttachMount": lambda a, _s: [f"move_mount {re.escape(a['target'])}"],
    "MountFilesystem": lambda a, _s: [f"fsopen {a['fstype']}", f"move_mount {re.escape(a['target'])}"],
    "MountCgroups": _show_cgroups,
    "ReadOnlyPaths": _read_only,
    "MaskPaths": _mask,
    "MakeDirectory": lambda _a, _s: [],
    "MakeDevices": lambda _a, _s: [r"(?:mknodat /dev/\w+\n)+"],
    "LinkDevices": lambda _a, _s: [r"(?:symlinkat /dev/\w+\n)+"],
    "LoopbackUp": lambda _a, _s: ["ioctl SIOCSIFFLAGS"],
    "SetHostname": lambda a, _s: [f"sethostname {a['hostname']}"],
    "TakeStreams": lambda _a, _s: [],
    "NewKeyring": lambda _a, _s: ["keyctl"],
    "ChangeDirectory": lambda _a, _s: [],
    "SetRlimits": lambda a, _s: ["prlimit64 RLIMIT_NOFILE" for _row in a["rows"]],
    "LimitCapabilities": lambda _a, _s: [],
    "LoadSeccomp": lambda _a, _s: ["seccomp"],
    "BecomeUser": lambda _a, _s: ["setresuid"],
    "SetCapabilities": lambda _a, _s: ["capset"],
    "FreshProcess": lambda _a, _s: [],
}
