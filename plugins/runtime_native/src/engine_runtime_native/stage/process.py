"""Actions on the process itself, the last before execve: limits, privileges, filter, signals. CHILD_AFTER_PIVOT."""

from __future__ import annotations

import binascii
import os

from engine.actions.base import Slots, action
from engine.errors import NotFound
from engine.linux import capabilities, paths, processes, seccomp
from engine.tuples import NamedTuple

SIGKILL = 9


@action("write")
class SetOomScore(NamedTuple):
    """Set how readily the kernel kills the process for memory. PARENT_AFTER: in a user namespace the file is closed."""

    score: int

    def describe(self) -> str:
        """Return the sentence."""
        return f"set oom_score_adj to {self.score}"

    def run(self, slots: Slots) -> None:
        """Write it for the process in slot ``pid``."""
        processes.set_oom_score_adj(self.score, slots["pid"])


@action("chdir")
class ChangeDirectory(NamedTuple):
    """Enter the working directory; a link to a descriptor that was left open would lead out, so none is followed."""

    path: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"change the working directory to {self.path}"

    def run(self, slots: Slots) -> None:
        """Resolve it below the root, and enter what was found."""
        try:
            fd = paths.open_in_root(slots["rootfs"], self.path, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError as error:
            raise NotFound(
                f"the container has no directory {self.path} to work in", fix="Name one that it has (--workdir)."
            ) from error
        try:
            os.fchdir(fd)
        finally:
            os.close(fd)


@action("setrlimit")
class SetRlimits(NamedTuple):
    """Set resource limits: (name, soft, hard) rows (getrlimit(2))."""

    rows: tuple[tuple[str, int, int], ...]

    def describe(self) -> str:
        """Return the sentence."""
        limits = (f"{name.removeprefix('RLIMIT_').lower()} {soft}:{hard}" for name, soft, hard in self.rows)
        return f"set the resource limits {', '.join(limits)}"

    def run(self, slots: Slots) -> None:
        """Set each."""
        for name, soft, hard in self.rows:
            processes.set_rlimit(name, soft, hard)


@action("keyctl")
class NewKeyring(NamedTuple):
    """Take a session keyring of its own, so that the host's keys are not the container's."""

    def describe(self) -> str:
        """Return the sentence."""
        return "join a new session keyring"

    def run(self, slots: Slots) -> None:
        """Join it."""
        processes.join_session_keyring()


@action("prctl")
class NoNewPrivileges(NamedTuple):
    """Forbid that an execve gives privileges (PR_SET_NO_NEW_PRIVS)."""

    def describe(self) -> str:
        """Return the sentence."""
        return "set no_new_privs"

    def run(self, slots: Slots) -> None:
        """Set it."""
        processes.set_no_new_privileges()


@action("capset")
class LimitCapabilities(NamedTuple):
    """Drop everything but ``names`` from the bounding set: what no execve can give back."""

    names: tuple[str, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"limit capabilities to {_listed(self.names)}"

    def run(self, slots: Slots) -> None:
        """Drop the others."""
        capabilities.drop_bounding(~capabilities.mask(self.names) & capabilities.supported())


@action("capset")
class SetCapabilities(NamedTuple):
    """Set the effective, permitted, inheritable and ambient sets, by name."""

    effective: tuple[str, ...]
    permitted: tuple[str, ...]
    inheritable: tuple[str, ...]
    ambient: tuple[str, ...]

    def describe(self) -> str:
        """Return the sentence."""
        return f"set the effective capabilities to {_listed(self.effective)}"

    def run(self, slots: Slots) -> None:
        """Set them; the ambient set last, it may only hold what is permitted and inheritable."""
        capabilities.clear_ambient()
        capabilities.set(*(capabilities.mask(names) for names in self[:3]))
        capabilities.raise_ambient(capabilities.mask(self.ambient))


@action("seccomp")
class LoadSeccomp(NamedTuple):
    """Put the process under a filter: ``program`` is base64 of BPF instructions."""

    program: str
    flags: int = 0

    def describe(self) -> str:
        """Return the sentence."""
        return f"load the seccomp filter of {len(self.program) * 3 // 4 // 8} instructions"

    def run(self, slots: Slots) -> None:
        """Load it."""
        seccomp.load(binascii.a2b_base64(self.program), self.flags)


@action("prctl")
class FreshProcess(NamedTuple):
    """Give the command what a fresh process has: default signals, its umask, no descriptor but those ``preserved``.

    It dies with its shim.
    """

    umask: int = 0o022
    preserved: int = 0

    def describe(self) -> str:
        """Return the sentence."""
        return f"reset signals, set the umask to {self.umask:03o} and have the kernel kill the process with its shim"

    def run(self, slots: Slots) -> None:
        """Set all of it; after the last change of ids, which clears the parent-death signal."""
        os.umask(self.umask)
        processes.reset_signals()
        processes.close_range(3 + self.preserved, flags=processes.CLOSE_RANGE_CLOEXEC)
        processes.set_parent_death_signal(SIGKILL)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(name.removeprefix("CAP_").lower() for name in names) or "none"
