"""Checks of the flags for privileges: what the kernel lets a container do, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.e2e.box import HOST
from tests.e2e.scene import Scene

RENAME = "echo renamed 2>/dev/null >/proc/sys/kernel/hostname && hostname || echo refused"
TIMERS = "head -c 1 /proc/timer_list | wc -c"
"""Shell words that write to a protected file of /proc, and say what came of it."""


def cap_add(scene: Scene) -> None:
    use = "ip link set lo mtu 1400 2>&1; cat /sys/class/net/lo/mtu"
    assert scene.run(use) == "1400\n"
    assert "not permitted" in scene.bare(use)


def cap_drop(scene: Scene) -> None:
    use = "touch /tmp/x; chown 5:5 /tmp/x 2>&1; stat -c %u /tmp/x"
    assert "not permitted" in scene.run(use)
    assert scene.bare(use) == "5\n"


def cap_drop_all(scene: Scene) -> None:
    sets = "grep -c '^Cap.*0000000000000000$' /proc/self/status"
    assert scene.run(sets) == "5\n"
    assert scene.bare(sets) == "2\n", "inheritable and ambient are empty as it is"


def privileged(scene: Scene) -> None:
    """Every capability and device of whoever runs the engine, mounts, and a /proc/sys that can be written."""
    bounding = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    assert scene.run("grep CapEff /proc/self/status").split()[1] == bounding.split()[1]
    mount = "mkdir /m; mount -t tmpfs x /m 2>/dev/null && echo mounted || echo refused"
    assert (scene.run(mount), scene.bare(mount)) == ("mounted\n", "refused\n")
    device = "mknod /tmp/loop b 7 0 2>/dev/null; cat /tmp/loop >/dev/null 2>&1 && ls /dev/loop0 || echo refused"
    assert (scene.run(device), scene.bare(device)) == ("/dev/loop0\n", "refused\n")
    assert (scene.run(RENAME), scene.bare(RENAME)) == ("renamed\n", "refused\n")


def no_new_privileges(scene: Scene) -> None:
    """A set-user-ID program gives nothing."""
    become = "cp /usr/bin/id /srv/id; chmod 4755 /srv/id; setpriv --reuid 1000 --clear-groups /srv/id -u"
    assert scene.run("grep NoNewPrivs /proc/self/status") == "NoNewPrivs:\t1\n"
    assert scene.bare("grep NoNewPrivs /proc/self/status") == "NoNewPrivs:\t0\n"
    assert scene.run(become, image=HOST) == "1000\n"
    assert scene.bare(become, image=HOST) == "0\n"


def seccomp_unconfined(scene: Scene) -> None:
    """A system call that the default profile refuses (unshare of a user namespace) is let through."""
    call = "grep Seccomp: /proc/self/status; unshare -U true 2>&1 && echo done"
    assert scene.run(call) == "Seccomp:\t0\ndone\n"
    refused = scene.bare(call + " || true")
    assert refused.startswith("Seccomp:\t2\n")
    assert "Operation not permitted" in refused


def seccomp_profile(scene: Scene) -> None:
    """The profile's own answer comes back: no directory can be made, with the errno that it names."""
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    (scene.place / "profile.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    assert "No space left on device" in scene.run("mkdir /x 2>&1 || true")
    assert scene.run("touch /x && echo made") == "made\n"


def system_paths(scene: Scene) -> None:
    """What the engine hides and protects of /proc is there."""
    assert (scene.run(RENAME), scene.bare(RENAME)) == ("renamed\n", "refused\n")
    assert (scene.run(TIMERS), scene.bare(TIMERS)) == ("1\n", "0\n")


def mask(scene: Scene) -> None:
    assert scene.run("cat /etc/passwd; ls /home") == ""
    assert scene.bare("cat /etc/passwd") != ""


def user_of_host_files(scene: Scene) -> None:
    """Files that it makes on the host are the user's."""
    (scene.place / "data").mkdir()
    os.chown(scene.place / "data", 1000, 1000)
    assert scene.run("id -un; id -u; id -g", "--volume", f"{scene.place}/data:/data") == "user\n1000\n1000\n"
    scene.run("touch /data/x", "--volume", f"{scene.place}/data:/data")
    found = (scene.place / "data/x").stat()
    assert (found.st_uid, found.st_gid) == (1000, 1000)


def unmask(scene: Scene) -> None:
    assert (scene.run(TIMERS), scene.bare(TIMERS)) == ("1\n", "0\n")
