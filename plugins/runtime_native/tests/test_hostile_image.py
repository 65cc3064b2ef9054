"""A hostile image: modules, libraries and settings wherever an interpreter or a C library looks for its own.

The stage may read /etc/passwd and /etc/group, and execve the command. That nothing else was read is told by the files'
access times; that nothing was executed, by a trace that each of them would leave.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.actions.base import to_plain
from engine.spec.runtime import Spec
from engine.testing.runtime_support import Box, make_spec, with_linux, with_process
from plugins.runtime_native.tests import bare

_TRACE = "open('/trace', 'w').write(__name__)\n"
_LIBRARIES = "/lib/x86_64-linux-gnu"
_SETTINGS = (
    "/etc/nsswitch.conf", "/etc/ld.so.preload", "/etc/ld.so.cache", "/etc/localtime", "/etc/locale.alias",
    "/etc/host.conf", "/etc/resolv.conf", "/etc/hosts", "/usr/lib/locale/locale-archive", "/usr/share/zoneinfo/UTC",
    "/usr/share/locale/locale.alias", "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
    "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache", "/pyvenv.cfg", "/usr/pyvenv.cfg", "/usr/bin/python3",
    f"{_LIBRARIES}/libc.so.6", f"{_LIBRARIES}/libnss_files.so.2", f"{_LIBRARIES}/libnss_compat.so.2",
    f"{_LIBRARIES}/libgcc_s.so.1", f"{_LIBRARIES}/libseccomp.so.2", "/lib64/ld-linux-x86-64.so.2",
)  # fmt: skip
_MODULES = (
    "os.py", "sitecustomize.py", "usercustomize.py", "encodings/__init__.py", "encodings/idna.py", "encodings/ascii.py",
    "html.py", "linecache.py", "traceback.py", "tokenize.py", "pwd.py", "grp.py", "locale.py", "warnings.py",
    "json/encoder.py",
    "engine/errors.py", "engine/linux/explanations.py",
)  # fmt: skip


def hostile(tree: Path) -> None:
    """Fill the tree, every file with an access time long ago."""
    directories = {"/", "/tmp", "/usr/lib/python3/dist-packages", "/usr/lib/python311.zip", "/root", *bare.paths()}
    files = {os.path.join(directory, name) for directory in directories for name in _MODULES}
    files |= {os.path.join(os.path.dirname(os.__file__), name) for name in _MODULES}
    for file in {*files, *bare.modules(), *_SETTINGS}:
        place = tree / file.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_TRACE)
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (0, path.stat().st_mtime))


def was_read(tree: Path) -> set[str]:
    """Return the files of the tree whose access time has changed."""
    files = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return {f"/{path.relative_to(tree)}" for path in files if path.stat().st_atime}


def _as_web(spec: Spec) -> Spec:
    return with_process(spec, user={"username": "web"}, cwd="/tmp")


def _filtered(spec: Spec) -> Spec:
    return with_linux(with_process(spec, noNewPrivileges=True), seccomp={"defaultAction": "SCMP_ACT_ALLOW"})


SCENARIOS: dict[str, tuple[Callable[[Spec], Spec], str]] = {
    "runs": (lambda spec: spec, ""),
    "runs as a user": (_as_web, ""),
    "runs with a filter": (_filtered, ""),
    "has no such command": (lambda spec: with_process(spec, args=["no-such-command"]), "no-such-command"),
    "has no such user": (lambda spec: with_process(spec, user={"username": "ghost"}), "ghost"),
    "has a directory for a command": (lambda spec: with_process(spec, args=["/etc"]), "directory"),
    "has no such directory": (lambda spec: with_process(spec, cwd="/proc/none"), "/proc/none"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_of_the_image_is_read(box: Box, name: str) -> None:
    hostile(box.tree)
    (box.tree / "control").write_text("")
    change, failure = SCENARIOS[name]
    answer = bare.run(box.task(change(make_spec("true"))))
    assert (answer["status"], answer["error"]) == (0, "") if not failure else failure in answer["error"]
    assert was_read(box.tree) <= {"/etc/passwd", "/etc/group", "/bin/busybox", "/control"}
    assert not (box.tree / "trace").exists()


def test_access_times_tell_what_is_read_here(box: Box) -> None:
    hostile(box.tree)
    (box.tree / "os.py").read_text()
    assert was_read(box.tree) == {"/os.py"}


@pytest.mark.parametrize("command", ["true", "no-such-command"])
def test_nothing_of_the_image_is_read_by_an_exec(box: Box, command: str) -> None:
    hostile(box.tree)
    spec = make_spec("sleep", "60")
    process: Any = {**spec["process"], "args": [command], "user": {"username": "web"}}
    steps = [to_plain(step) for step in box.runtime.plan_exec(spec, process)]
    answer = bare.run(box.task(spec), {"process": process, "steps": steps})
    assert answer["executed"] == "" if command == "true" else command in answer["executed"]
    assert was_read(box.tree) <= {"/etc/passwd", "/etc/group", "/bin/busybox"}
    assert not (box.tree / "trace").exists()


def test_error_that_nobody_foresaw_opens_no_source(box: Box) -> None:
    hostile(box.tree)
    broken = bare.PROGRAM.replace(
        "request = json", "stage.vocabulary.process.NewKeyring.run = lambda self, slots: slots['none']\nrequest = json"
    )
    answer = bare.run(box.task(make_spec("true")), program=broken)
    assert "KeyError" in answer["error"]
    assert was_read(box.tree) <= {"/etc/passwd", "/etc/group"}


def test_import_inside_the_container_is_refused(box: Box) -> None:
    hostile(box.tree)
    broken = bare.PROGRAM.replace(
        "request = json",
        "stage.vocabulary.process.NewKeyring.run = lambda self, slots: __import__('html')\nrequest = json",
    )
    answer = bare.run(box.task(make_spec("true")), program=broken)
    assert "html was not imported before the container was entered" in answer["error"]
    assert not (box.tree / "trace").exists()
