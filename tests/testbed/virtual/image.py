"""The images that virtual machines boot, made from Debian's packages: a kernel, a tiny initrd, a root file system.

A directory in the cache of `tests.testbed.rootfs` holds ``vmlinux``, ``initrd`` and ``root.ext4`` (sparse). The root
has the locked Python dependencies and the workspace's distributions, installed so that their code is read from
`CHECKOUT`, where a machine mounts the disk that `disk_of_checkout` makes. Building takes some two minutes, and root.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.testbed import rootfs
from tests.testbed.rootfs import Recipe
from tests.testbed.virtual import initrd, kernel

HERE = Path(__file__).resolve().parent
WORKSPACE = HERE.parents[2]
CHECKOUT = Path("/opt/engine")
"""Where the machine has the checkout."""
PYTHON = Path("/opt/venv/bin/python")
"""The machine's interpreter for the tests."""
ROOT_SIZE = "4G"
INPUTS = ("agent.py", "agent.service", "image.py", "initrd.py", "kernel.py")
"""The files beside this one that an image is made from."""
PACKAGES = (
    "apparmor", "btrfs-progs", "busybox-static", "crun", "dbus", "dbus-user-session", "dmsetup", "e2fsprogs",
    "iproute2", "kmod", "libpam-systemd", "libseccomp2", "linux-image-amd64", "mount", "nftables", "procps",
    "python3", "python3-venv", "runc", "strace", "systemd", "systemd-sysv", "thin-provisioning-tools", "tini", "udev",
    "uidmap", "util-linux",
)  # fmt: skip
NEEDLESS_MODULES = (
    "drivers/gpu", "drivers/hid", "drivers/hwmon", "drivers/iio", "drivers/media", "drivers/net/ethernet",
    "drivers/net/wireless", "drivers/platform", "drivers/scsi", "drivers/staging", "drivers/usb", "sound",
)  # fmt: skip
"""Two thirds of Debian's kernel, for hardware that no virtual machine has. Its kernel for clouds lacks soft RoCE."""
NEEDLESS_UNITS = (
    "apparmor.service", "apt-daily-upgrade.timer", "apt-daily.timer", "console-getty.service", "dev-hugepages.mount",
    "dev-mqueue.mount", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "getty-static.service", "getty@tty1.service", "ldconfig.service", "nftables.service",
    "serial-getty@ttyS0.service", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "systemd-binfmt.service",
    "systemd-firstboot.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service",
    "systemd-machine-id-commit.service", "systemd-pcrphase.service", "systemd-random-seed.service",
    "systemd-update-done.service", "systemd-update-utmp-runlevel.service", "systemd-update-utmp.service",
)  # fmt: skip
"""What a machine that lives for minutes has no use for: without these it boots in half the time."""


class MachineRecipe(Recipe):
    """A root file system without `NEEDLESS_MODULES`."""

    @property
    def command(self) -> list[str]:
        """The command line, less the suite, the target and the sources."""
        return [*super().command, *(f"--dpkgopt=path-exclude=*/kernel/{name}/*" for name in NEEDLESS_MODULES)]


def recipe(release: str) -> Recipe:
    """Return what the root file system of a release ("bookworm", "trixie") is made from."""
    return MachineRecipe("virtual", "directory", PACKAGES, release)


def build(release: str) -> Path:
    """Return the directory of a release's image, made now if need be."""
    return rootfs.once(key(release), lambda target: _build(release, target))


def key(release: str) -> str:
    """Return the image's name in the cache: it changes with everything that goes into it."""
    inputs = [*(HERE / name for name in INPUTS), *projects(), WORKSPACE / "requirements.lock"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:12]
    return f"{recipe(release).key}-{digest}"


def projects() -> list[Path]:
    """Return the pyproject.toml of every distribution of the workspace."""
    return [WORKSPACE / "core/pyproject.toml", *sorted(WORKSPACE.glob("plugins/*/pyproject.toml"))]


def _build(release: str, target: Path) -> None:
    target.mkdir()
    root = target / "root"
    rootfs.mmdebstrap(recipe(release), root)
    configure(root)
    install_dependencies(root, target / "wheels")
    kernel.extract(root, target / "vmlinux")
    initrd.make(root, target / "initrd")
    make_ext4(target / "root.ext4", root, ROOT_SIZE)
    shutil.rmtree(root)


def configure(root: Path) -> None:
    """Name the machine, give it the agent, one ordinary user, and no service that it does not need."""
    (root / "etc/hostname").write_text("virtual\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost virtual\n")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/fstab").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    units = root / "etc/systemd/system"
    for unit in NEEDLESS_UNITS:
        (units / unit).symlink_to("/dev/null")
    shutil.copy(HERE / "agent.py", root / "usr/local/sbin/agent")
    shutil.copy(HERE / "agent.service", units / "agent.service")
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/agent.service").symlink_to("../agent.service")
    inside(root, "systemctl", "set-default", "multi-user.target")
    inside(root, "useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", "user")


def install_dependencies(root: Path, wheels: Path) -> None:
    """Make `PYTHON`'s environment: the locked dependencies, and the workspace's distributions in editable form."""
    version = inside(root, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--require-hashes"]
    lock = WORKSPACE / "requirements.lock"
    run([*pip, "--python-version", version, "--dest", str(wheels), "--requirement", str(lock)])
    here = root / CHECKOUT.relative_to("/")
    for project in projects():
        copy = here / project.parent.relative_to(WORKSPACE)
        shutil.copytree(project.parent, copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    shutil.move(wheels, root / "opt/wheels")
    inside(root, "python3", "-m", "venv", str(PYTHON.parents[1]))
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-index", "--root-user-action=ignore"]
    inside(root, *install, *(f"/opt/wheels/{wheel.name}" for wheel in (root / "opt/wheels").iterdir()))
    editable = [word for one in projects() for word in ("-e", str(CHECKOUT / one.parent.relative_to(WORKSPACE)))]
    inside(root, *install, "--no-deps", "--no-build-isolation", *editable)
    shutil.rmtree(root / "opt/wheels")
    shutil.rmtree(here)
    here.mkdir()


def disk_of_checkout(target: Path) -> None:
    """Make a disk image of the checkout's files (those git tracks or would), to be mounted at `CHECKOUT`."""
    listed = ["git", "-C", str(WORKSPACE), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = [name for name in run(listed).split("\0") if name and (WORKSPACE / name).is_file()]
    copy = target.with_suffix(".files")
    for name in names:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(WORKSPACE / name, copy / name)
    make_ext4(target, copy, "256M")
    shutil.rmtree(copy)


def make_ext4(image: Path, directory: Path, size: str) -> None:
    """Make a sparse image with a directory's content; without a journal, since it is never kept after a crash."""
    run(["truncate", "--size", size, str(image)])
    options = ["-q", "-F", "-m0", "-O", "^has_journal", "-E", "lazy_itable_init=1,root_owner=0:0"]
    run(["mkfs.ext4", *options, "-d", str(directory), str(image)])


def inside(root: Path, *command: str) -> str:
    """Run a command in the root file system as it will be in the machine, and return what it wrote."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return run(["chroot", str(root), *command], environment)


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command and return what it wrote. Raises RuntimeError with its errors."""
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:8])} failed:\n{done.stderr or done.stdout}")
    return done.stdout
