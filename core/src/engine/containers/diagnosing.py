"""What `engine why` says: what kept a container from starting, or what ended it, and what to do about it.

From what was recorded (the failure of a start, the exit record, the log), and the disk as it is now. Starts nothing.
"""

from __future__ import annotations

import os
import re
import signal

from engine.containers import failing, listing
from engine.containers.engine import Engine
from engine.containers.failing import Failure
from engine.containers.listing import View
from engine.errors import EngineError
from engine.shim.protocol import Exit
from engine.spec.options import RunOptions
from engine.tuples import NamedTuple

_LINES = 20
_LIBRARY = re.compile(rb"[Ee]rror (?:while )?loading shared librar(?:ies|y):? ([^\s:]+)")
"""What the loaders of glibc and musl write before they exit with 127."""
_SIGNALS = {
    signal.SIGSEGV: "it used memory that is not its own",
    signal.SIGBUS: "it used memory that is not there: a mapped file was cut short, or /dev/shm is full (--shm-size)",
    signal.SIGILL: "it executed an instruction that this processor does not have: an image of another machine perhaps",
    signal.SIGFPE: "it divided by zero",
    signal.SIGABRT: "it ended itself, having found something wrong",
    signal.SIGSYS: "a seccomp filter forbade a system call",
    signal.SIGPIPE: "it wrote to a pipe that nobody reads any more",
    signal.SIGXCPU: "it used more processor time than its limit (--ulimit cpu)",
    signal.SIGXFSZ: "it wrote a larger file than its limit (--ulimit fsize)",
    signal.SIGKILL: "a process of the machine sent it, or the kernel when the whole machine had no memory left (dmesg)",
}
_STATUSES = {
    125: "commands that run others, as this engine, say so that they failed themselves",
    126: "shells say so that a command exists and could not be executed",
    127: "shells say so that there is no such command",
}


class Diagnosis(NamedTuple):
    """Why a container is as it is. ``kind`` is one word or two for programs, ``what`` a sentence.

    ``action``, ``errno``, ``meaning`` and ``plugin`` are empty unless a start failed in the kernel or in a plugin;
    ``fix`` is advice, possibly empty. Kinds: running, created, start failed, oom, timeout, stop, signal, exit, library,
    shim killed.
    """

    kind: str
    what: str
    fix: str = ""
    action: str = ""
    errno: str = ""
    meaning: str = ""
    plugin: str = ""


def why(engine: Engine, wanted: str) -> Diagnosis:
    """Return why the container of that name or ID is as it is. Raises `NotFound`."""
    view = listing.view(engine, wanted)
    failure = failing.read(engine.layout, view.record.id)
    if view.status.has_task:
        return Diagnosis("running", f"it runs, as process {view.status.pid}" if view.status.pid else "it is starting")
    if failure is not None:
        return _not_started(engine, failure)
    if view.status.exit is None:
        return Diagnosis("created", "it was never started", f"Start it with `engine start {view.record.name}`.")
    diagnosis = _ended(engine, view, view.status.exit)
    if view.status.state == "restarting":
        return diagnosis._replace(what=f"{diagnosis.what}; it is about to be restarted")
    return diagnosis


def _not_started(engine: Engine, failure: Failure) -> Diagnosis:
    meaning, fix = failure.meaning, failure.fix
    if failure.errno in {"ENOSPC", "EDQUOT"}:
        meaning, fix = _full(engine, failure)
    return Diagnosis(
        "start failed", failure.what, fix, failure.action, failure.errno, meaning, failure.plugin
    )  # fmt: skip


def _full(engine: Engine, failure: Failure) -> tuple[str, str]:
    """Tell a full disk from a quota, and both from a limit on the number of things."""
    root = engine.layout.root
    if failure.errno == "EDQUOT":
        return "a quota is used up, not the disk", f"Raise the quota that holds for {root}, or free space within it."
    disk = os.statvfs(root)
    if disk.f_bavail * disk.f_frsize < 1 << 20:
        return f"the disk of {root} is full", "Free some space there: `engine rm` and `engine rmi` do."
    if disk.f_files and not disk.f_favail:
        return f"the file system of {root} has no inodes left", "Remove files there; many small ones use them up."
    return (
        f"the disk of {root} has room now: it was full then, or a limit on the number of such objects is reached",
        failure.fix,
    )


def _ended(engine: Engine, view: View, ended: Exit) -> Diagnosis:
    options = view.options
    if ended.reason == "timeout":
        return Diagnosis(
            "timeout",
            f"the engine killed it after --timeout {options.timeout:g} s",
            "Give it more time with --timeout.",
        )
    if ended.oom:
        return _out_of_memory(options, ended)
    if ended.reason:
        return Diagnosis("shim killed", ended.reason, "Look in the kernel's log (dmesg) for who killed the shim.")
    if ended.asked:
        return _asked(ended)
    if ended.signal:
        return _signalled(ended.signal)
    return _exited(engine, view, ended)


def _out_of_memory(options: RunOptions, ended: Exit) -> Diagnosis:
    limit = f"its limit of {options.memory} bytes" if options.memory else "the memory that it may use"
    killed = "it was killed" if ended.signal == signal.SIGKILL else "one of its processes was killed"
    then = "" if ended.signal == signal.SIGKILL else f"; it ended with status {ended.code}"
    return Diagnosis("oom", f"out of memory: it reached {limit}, and {killed}{then}", "Give it more with --memory.")


def _asked(ended: Exit) -> Diagnosis:
    word, _space, number = ended.asked.partition(" ")
    how = f"died of {_name(ended.signal)}" if ended.signal else f"ended with status {ended.code}"
    if word != "stop":
        return Diagnosis("signal", f"`engine kill` had sent it {_name(int(number))}; it {how}")
    if ended.signal == signal.SIGKILL:
        return Diagnosis(
            "stop", "`engine stop` asked it to end, and killed it as it did not in time",
            "Have it react to its stop signal (--stop-signal, --init), or give it longer with --stop-timeout.",
        )  # fmt: skip
    return Diagnosis("stop", f"`engine stop` asked it to end, and it {how}")


def _signalled(number: int) -> Diagnosis:
    meaning = _SIGNALS.get(number, "a process, or a key on its terminal, sent it")  # type: ignore[call-overload]
    return Diagnosis("signal", f"it died of {_name(number)}: {meaning}")


def _exited(engine: Engine, view: View, ended: Exit) -> Diagnosis:
    if ended.code == 127:
        library = _missing_library(engine, view)
        if library:
            return Diagnosis(
                "library", f"the image lacks the shared library {library}", "Install what holds it in the image."
            )
    what = "it ended by itself, with success" if not ended.code else f"it ended by itself, with status {ended.code}"
    if ended.code > 128 and ended.code - 128 in signal.valid_signals():
        return Diagnosis("exit", f"{what}: shells say so that a command died of {_name(ended.code - 128)}")
    known = _STATUSES.get(ended.code)
    fix = f"`engine logs {view.record.name}` shows what it wrote." if ended.code else ""
    return Diagnosis("exit", f"{what}: {known}" if known else what, fix)


def _missing_library(engine: Engine, view: View) -> str:
    """Return the shared library that the loader did not find, by what it wrote; "" when it wrote nothing such."""
    driver = engine.log(view.record.log, view.options.log_opts)
    if not driver.sink:
        return ""
    try:
        entries = list(driver.read(engine.layout.container(view.record.id), tail=_LINES))
    except EngineError:  # a log that cannot be read: the status is all there is to tell
        return ""
    match = _LIBRARY.search(b"".join(entry.data for entry in entries))
    return match[1].decode(errors="replace") if match else ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal, which has no name of its own
        return f"signal {number}"
