"""Root filesystems made from Debian's packages, built once per machine and kept under `CACHE`.

A recipe's key is a digest of everything that goes into it, so a changed recipe is built anew. Processes that want the
same one at once build it once: the others wait at a lock. A build that was killed leaves a ``.partial`` that the next
one removes. Packages come from where this machine's own apt gets Debian's.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

CACHE = Path("/var/cache/engine-tests")
BUSYBOX = Path("/bin/busybox")
SMALLER = (
    "--aptopt=Acquire::Languages none",
    "--aptopt=APT::Install-Recommends false",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)


class Recipe(NamedTuple):
    """What mmdebstrap(1) is asked for: form (``tar`` or ``directory``), packages, and release ("": this machine's)."""

    name: str
    form: str
    packages: tuple[str, ...]
    release: str = ""

    @property
    def suite(self) -> str:
        """The code name of the release."""
        return self.release or codename()

    @property
    def command(self) -> list[str]:
        """The command line, less the suite, the target and the sources."""
        options = [f"--format={self.form}", "--mode=root", "--variant=minbase", "--quiet", *SMALLER]
        return ["mmdebstrap", *options, f"--include={','.join(self.packages)}"]

    @property
    def key(self) -> str:
        """A name for the result in the cache."""
        text = repr((self, self.command, self.suite, platform.machine()))
        return f"{self.name}-{self.suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


DEBIAN = Recipe("debian", "tar", ("python3-minimal",))
"""The image of an ordinary small Debian, with a Python in it."""
PYTHONS_TESTS = "?name(^libpython3.*-testsuite$)"
"""An apt pattern (apt-patterns(7)): the package's name has the version of the release's Python in it."""
WORKLOADS = Recipe(
    "workloads", "tar", ("gcc", "libc6-dev", "make", "postgresql", "python3", "redis-server", PYTHONS_TESTS)
)
"""The image of what people run: databases, a compiler, a whole Python."""
SYSTEMD = Recipe(
    "systemd", "directory", ("busybox-static", "dbus", "iproute2", "libseccomp2", "procps", "python3", "systemd")
)
"""A machine to boot: the same release as this one, so that this one's interpreter and environment work inside."""


def codename() -> str:
    """Return the code name of this machine's Debian release."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def build(recipe: Recipe) -> Path:
    """Return the path of a recipe's result, made now if need be."""
    return once(recipe.key, lambda target: mmdebstrap(recipe, target))


def once(key: str, make: Callable[[Path], None]) -> Path:
    """Return ``CACHE/key``, calling ``make`` with a temporary path beside it when it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    result, partial = CACHE / key, CACHE / f"{key}.partial"
    with open(CACHE / f"{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            _remove(partial)
            make(partial)
            partial.rename(result)
    return result


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def mmdebstrap(recipe: Recipe, target: Path) -> None:
    """Make a recipe's root filesystem at ``target``. Raises RuntimeError with what mmdebstrap said.

    A kernel gets no initrd of Debian's: what boots one has its own.
    """
    sources = CACHE / f"{recipe.key}.sources"
    sources.write_text(debian_sources(recipe.suite))
    command = [*recipe.command, recipe.suite, str(target), str(sources)]
    environment = {**os.environ, "INITRD": "No"}
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False
    )
    sources.unlink()
    if done.returncode:
        _remove(target)
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")


def debian_sources(suite: str, apt: Path = Path("/etc/apt")) -> str:
    """Return this machine's apt sources for its own release, as deb822 text, with ``suite`` in that release's place."""
    stanzas = [stanza for file in apt.glob("sources.list.d/*.sources") for stanza in _stanzas(file.read_text())]
    for file in (apt / "sources.list", *apt.glob("sources.list.d/*.list")):
        if file.exists():
            stanzas += [_stanza(line) for line in file.read_text().splitlines() if line.startswith("deb ")]
    names = {codename() + suffix for suffix in ("", "-updates", "-security")}
    mine = [stanza for stanza in stanzas if names & set(_suites(stanza))]
    if not mine:
        raise RuntimeError(f"no apt source in {apt} offers {codename()}")
    return "\n\n".join(mine).replace(codename(), suite) + "\n"


def _stanzas(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [stanza.strip() for stanza in "\n".join(lines).split("\n\n") if "URIs:" in stanza]


def _suites(stanza: str) -> list[str]:
    lines = [line for line in stanza.splitlines() if line.startswith("Suites:")]
    return lines[0].split()[1:] if lines else []


def _stanza(line: str) -> str:
    """Return a one-line source (sources.list(5)) as a stanza."""
    words = line.split()[1:]
    signed = ""
    while words[0].startswith("[") or "=" in words[0]:
        option = words.pop(0).strip("[]")
        if option.startswith("signed-by="):
            signed = f"\nSigned-By: {option.partition('=')[2]}"
    address, suite, *components = words
    return f"Types: deb\nURIs: {address}\nSuites: {suite}\nComponents: {' '.join(components)}{signed}"


def busybox_tar(target: Path) -> None:
    """Write a root filesystem of busybox alone: its programs as links, two users, empty directories."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(target, "w") as tar:
        for directory in ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"):
            _add(tar, directory, tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755)
        _add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, BUSYBOX.read_bytes())
        for applet in applets:
            if applet != "busybox":
                _add(tar, f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        _add(
            tar,
            "etc/passwd",
            tarfile.REGTYPE,
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n",
        )
        _add(tar, "etc/group", tarfile.REGTYPE, 0o644, b"root:x:0:\nuser:x:1000:\n")


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, data: bytes = b"", link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname = kind, mode, len(data), link
    tar.addfile(member, io.BytesIO(data))


def unpack(tar: Path, directory: Path) -> None:
    """Unpack a root filesystem's tarball, owners and modes as they are in it."""
    directory.mkdir(parents=True)
    subprocess.run(["tar", "--extract", "--file", os.fspath(tar), "--directory", os.fspath(directory)], check=True)
