"""PID 1 of the machine, until it becomes systemd: lays out the mounts and executes it. Standard library only.

Runs as root in new mount, cgroup, uts, ipc, pid and net namespaces, in the machine's own cgroup of every hierarchy. Two
of these mounts keep it from changing the machine around it, whose kernel it shares:

- ``/proc/cgroups`` shows only the controllers that are bound to a v1 hierarchy already: systemd mounts each controller
  listed there, and mounting one anywhere takes it from the v2 hierarchy of the whole machine;
- ``/proc/sys`` (but for ``net``) and ``/sys`` are read-only: PID 1 and systemd-sysctl write settings that no namespace
  holds, such as fs.nr_open and fs.protected_symlinks.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse", "loop-control", "kmsg")
CGROUPS = "/sys/fs/cgroup"


def mount(fstype: str, target: Path, options: str = "", source: str = "") -> None:
    """Mount a new file system on a directory that is made if need be."""
    target.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", fstype, *(["-o", options] if options else []), source or fstype, str(target)]
    subprocess.run(command, check=True)


def bind(source: Path, target: Path, *options: str) -> None:
    """Bind a file or directory; ``ro`` among the options takes a second call (mount(8), "Bind mounts")."""
    subprocess.run(["mount", "--rbind", str(source), str(target)], check=True)
    if options:
        subprocess.run(["mount", "-o", ",".join(("remount", "bind", *options)), str(target)], check=True)


def lay_out(spec: dict[str, Any], work: Path) -> Path:
    """Make the whole tree below ``work`` and return its root."""
    root = work / "root"
    mount("tmpfs", work, "mode=0755")
    disk = Path(spec["disk"]) if spec["disk"] else work
    for name in ("upper", "work", "engine"):
        (disk / name).mkdir(exist_ok=True)
    mount("overlay", root, f"lowerdir={spec['rootfs']},upperdir={disk}/upper,workdir={disk}/work")
    mount("proc", root / "proc")
    filter_controllers(root, work)
    mount("sysfs", root / "sys")
    make_dev(root / "dev")
    mount("tmpfs", root / "run", "mode=0755,size=512m")
    mount("tmpfs", root / "tmp", "mode=1777")
    (root / "var/lib/engine").mkdir(parents=True, exist_ok=True)
    bind(disk / "engine", root / "var/lib/engine")
    for shared in spec["shared"]:
        (root / shared.lstrip("/")).mkdir(parents=True, exist_ok=True)
        bind(Path(shared), root / shared.lstrip("/"), "ro")
    mount_cgroups(root, spec["mode"], spec["hierarchies"])
    guard_kernel_settings(root)
    return root


def filter_controllers(root: Path, work: Path) -> None:
    """Hide the controllers that are not on v1 from /proc/cgroups: see the module's text."""
    lines = Path("/proc/cgroups").read_text().splitlines(keepends=True)
    shown = work / "cgroups"
    shown.write_text("".join(line for line in lines if line.startswith("#") or line.split()[1] != "0"))
    bind(shown, root / "proc/cgroups")


def guard_kernel_settings(root: Path) -> None:
    """Make /proc/sys, but for its network part, and /sys read-only: see the module's text."""
    bind(root / "proc/sys", root / "proc/sys")
    bind(root / "proc/sys/net", root / "proc/sys/net")
    subprocess.run(["mount", "-o", "remount,bind,ro", str(root / "proc/sys")], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(root / "sys")], check=True)


def make_dev(dev: Path) -> None:
    """Make a /dev with the few devices that systemd and container engines use."""
    mount("tmpfs", dev, "mode=0755")
    for name in (*DEVICES, *(f"loop{number}" for number in range(8))):
        host = Path("/dev", name)
        if host.exists():
            status = host.stat()
            os.mknod(dev / name, status.st_mode, status.st_rdev)
            (dev / name).chmod(stat.S_IMODE(status.st_mode))
    mount("devpts", dev / "pts", "newinstance,ptmxmode=0666,mode=0620,gid=5")
    mount("tmpfs", dev / "shm", "mode=1777")
    mount("mqueue", dev / "mqueue")
    for name, target in {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "fd/0",
        "stdout": "fd/1",
        "stderr": "fd/2",
    }.items():
        (dev / name).symlink_to(target)


def mount_cgroups(root: Path, mode: str, hierarchies: dict[str, str]) -> None:
    """Mount the hierarchies that the machine around has, and no other: ``hierarchies`` is mount point to v1 options."""
    top = root / CGROUPS.lstrip("/")
    if mode == "v2":
        mount("cgroup2", top)
        return
    mount("tmpfs", top, "mode=0755", "cgroup")
    for place, options in hierarchies.items():
        target = top / Path(place).relative_to(CGROUPS)
        if options:
            mount("cgroup", target, options)
        elif mode == "hybrid":
            mount("cgroup2", target)


def enter(root: Path) -> None:
    """Make ``root`` this process's root, and let go of the old one."""
    old = root / ".old"
    old.mkdir()
    os.chdir(root)
    subprocess.run(["pivot_root", ".", ".old"], check=True)
    os.chdir("/")
    subprocess.run(["umount", "--lazy", "/.old"], check=True)
    Path("/.old").rmdir()


def become_systemd(mode: str, environment: dict[str, str]) -> None:
    """Execute systemd with its log in /run/boot.log, and with the signals of a fresh process."""
    log = os.open("/run/boot.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    words = {
        "v1": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
        "hybrid": "systemd.unified_cgroup_hierarchy=0",
        "v2": "",
    }[mode]
    if words:
        # systemd 256 and later boot on v1 only when told twice.
        environment["SYSTEMD_PROC_CMDLINE"] = f"{words} SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
    os.closerange(3, 256)
    program = "/lib/systemd/systemd"
    os.execve(program, [program, "--system", "--show-status=0", "--log-target=console"], environment)


def main(spec: dict[str, Any]) -> None:
    """Lay out, enter, execute."""
    root = lay_out(spec, Path(spec["work"]))
    enter(root)
    socket.sethostname(spec["name"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    environment = {
        "container": "engine-tests",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": "dumb",
        **spec["environment"],
    }
    become_systemd(spec["mode"], environment)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
