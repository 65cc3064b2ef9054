"""What the checks of the runtime suite work with: a root of busybox, a specification, a `Box` that runs it."""

from __future__ import annotations

import copy
import importlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from engine.actions.base import Phase, Step
from engine.actions.namespaces import LoopbackUp, SetHostname, WriteIdMaps
from engine.actions.rootfs import MountRootfs
from engine.actions.task import Stage, Task
from engine.contracts.namespace import NamespacePlan
from engine.contracts.runtime import Capability, Runtime
from engine.spec.runtime import Process, Spec
from engine.testing.shim import Container, Output, in_shim
from engine.tuples import NamedTuple

T = TypeVar("T")

BUSYBOX = Path("/bin/busybox")
HOSTNAME = "contract"
HOST_IDS = 200000
"""The first id of the host that a container with a user namespace gets."""
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_SETGID", "CAP_SETUID",
    "CAP_SYS_CHROOT",
)  # fmt: skip
PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:1001:\nlogs:x:2000:web\n"
_APPLETS = (
    "cat chmod cp cut dd echo env false grep head hostname id kill ls mkdir mknod mount nc ps pwd readlink rm sed"
    " setsid sh sleep sort stat stty touch tr true tty umount unshare wc"
)

NEW = ("mount", "uts", "ipc", "pid", "net")
"""What a container of the suite gets by clone; a cgroup namespace of its own comes by unshare."""


def make_tree(tree: Path) -> None:
    """Make a root file system in ``tree``; the test is skipped where Debian's busybox-static is not installed."""
    if not BUSYBOX.exists():
        pytest.skip("needs /bin/busybox, statically linked: apt-get install busybox-static")
    for name in ("bin", "etc", "tmp", "srv/web"):
        (tree / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "bin/busybox")
    for applet in _APPLETS.split():
        (tree / "bin" / applet).symlink_to("busybox")
    (tree / "etc/passwd").write_text(PASSWD)
    (tree / "etc/group").write_text(GROUP)


def give_away(tree: Path) -> None:
    """Give the tree to the ids that a user namespace of the suite maps, as an idmapped root would appear."""
    for directory, _directories, files in os.walk(tree):
        for name in (directory, *(os.path.join(directory, file) for file in files)):
            os.chown(name, HOST_IDS, HOST_IDS, follow_symlinks=False)


def make_spec(*command: str) -> Spec:
    """Return the specification of a container as `docker run` would start it."""
    return {
        "ociVersion": "1.2.0",
        "hostname": HOSTNAME,
        "root": {"path": "rootfs", "readonly": False},
        "process": {
            "args": list(command),
            "env": ["PATH=/bin", "MARK=contract"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": False,
            "capabilities": {name: list(CAPABILITIES) for name in ("bounding", "effective", "permitted")},  # type: ignore[typeddict-item]
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": {"net": "network"}.get(kind, kind)} for kind in (*NEW, "cgroup")],
            "maskedPaths": ["/proc/keys", "/proc/acpi", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys"],
        },
    }


def new_namespaces(*, user: bool = False) -> NamespacePlan:
    """Return a plan that gives a container every kind of its own but time, and user only when asked for."""
    steps = [
        Step(Phase.CHILD_BEFORE_PIVOT, SetHostname(HOSTNAME)),
        Step(Phase.CHILD_BEFORE_PIVOT, LoopbackUp()),
    ]
    if user:
        rows = ((0, HOST_IDS, 65536),)
        steps.append(Step(Phase.PARENT_AFTER, WriteIdMaps(rows, rows)))
    return NamespacePlan(("user", *NEW) if user else NEW, ("cgroup",), (), tuple(steps))


class Box(NamedTuple):
    """A runtime, its stage, and a place for one container after another."""

    runtime: Runtime
    stage: Stage
    bundle: Path

    @property
    def tree(self) -> Path:
        """The root file system."""
        return self.bundle / "tree"

    def task(self, spec: Spec, namespaces: NamespacePlan | None = None) -> Task:
        """Plan a container, and hand the plan over as the command hands it to the shim: as JSON."""
        namespaces = new_namespaces() if namespaces is None else namespaces
        (self.bundle / "config.json").write_text(json.dumps(spec))
        mount = MountRootfs(str(self.bundle / "rootfs"), (("bind", str(self.tree), (), (), None),))
        planned = () if self.runtime.manages_namespaces else namespaces.steps
        steps = (Step(Phase.PARENT_BEFORE, mount), *planned, *self.runtime.plan(spec, namespaces))
        task = Task(
            f"contract-{os.getpid()}-{id(spec)}",
            str(self.bundle),
            namespaces.clone,
            namespaces.unshare,
            namespaces.joins,
            steps,
            spec["process"],
            self.runtime.arguments(),
        )
        return Task.of_plain(json.loads(json.dumps(task.to_plain())))

    def play(self, spec: Spec, scenario: Callable[[Container], T], namespaces: NamespacePlan | None = None) -> T:
        """Run ``scenario`` with the container of ``spec`` in the shim's part."""
        task = self.task(spec, namespaces)

        def act() -> T:
            with Container(self.stage, task) as container:
                return scenario(container)

        return in_shim(act)

    def run(self, spec: Spec, stdin: bytes = b"", namespaces: NamespacePlan | None = None) -> Output:
        """Run a container to its end."""

        def scenario(container: Container) -> Output:
            container.start()
            return container.finish(stdin)

        return self.play(spec, scenario, namespaces)

    def sh(self, script: str, **process: Any) -> Output:
        """Run a shell script as the init, with changes to the process of the specification."""
        return self.run(with_process(make_spec("sh", "-c", script), **process))

    def needs(self, capability: Capability) -> None:
        """Skip the check unless the runtime declares the capability."""
        if capability not in self.runtime.capabilities:
            pytest.skip(f"the runtime does not declare {capability}")


def with_process(spec: Spec, **changes: Any) -> Spec:
    """Return a copy of the specification with keys of its process replaced."""
    changed = copy.deepcopy(spec)
    changed["process"] = cast("Process", {**changed["process"], **changes})
    return changed


def with_linux(spec: Spec, **changes: Any) -> Spec:
    """Return a copy of the specification with keys of its linux object replaced."""
    changed = copy.deepcopy(spec)
    changed["linux"] = cast("Any", {**changed["linux"], **changes})
    return changed


class RuntimeFixtures:
    """The fixtures of every group of checks; a plugin's test overrides `runtime`."""

    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        """Return the runtime to check."""
        raise NotImplementedError("override the fixture 'runtime'")

    @pytest.fixture
    def box(self, runtime: Runtime, tmp_path: Path) -> Box:
        """Return a place to run containers of that runtime in."""
        return make_box(runtime, tmp_path / "bundle")


def make_box(runtime: Runtime, bundle: Path, stage: Stage | None = None) -> Box:
    """Make a bundle's directory, and a busybox tree in it."""
    (bundle / "rootfs").mkdir(parents=True)
    make_tree(bundle / "tree")
    return Box(runtime, stage or cast("Stage", importlib.import_module(runtime.stage)), bundle)
