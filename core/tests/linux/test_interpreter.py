from __future__ import annotations

import os
import subprocess
import sys

from engine.linux import interpreter

_LOOK = """
import os
print(bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY), os.path.samefile("/proc/self/exe", {program!r}))
"""


def executed(program: str, fds: tuple[int, ...] = ()) -> str:
    look = _LOOK.format(program=os.path.realpath(sys.executable))
    command = [sys.executable, "-I", "-S", "-c", look]
    done = subprocess.run(command, executable=program, pass_fds=fds, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_program_is_read_only_to_whoever_looks_at_its_process() -> None:
    fd = interpreter.read_only()
    try:
        assert executed(f"/proc/self/fd/{fd}", (fd,)) == "True True"
    finally:
        os.close(fd)


def test_it_is_not_without() -> None:
    assert executed(os.path.realpath(sys.executable)) == "False True"


def test_the_hosts_own_mount_stays_writable() -> None:
    os.close(interpreter.read_only())
    assert not os.statvfs(os.path.realpath(sys.executable)).f_flag & os.ST_RDONLY
