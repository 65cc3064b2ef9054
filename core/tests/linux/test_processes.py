from __future__ import annotations

import _imp
import ctypes
import errno
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.linux import cgroups, cloning, namespaces, processes
from engine.linux.syscalls import NUMBERS, check, syscall

InChild = Callable[..., Any]


def cloned_status(body: Callable[[], int], flags: int = 0, **options: Any) -> int:
    child = processes.clone3(flags, **options)
    if child.pid == 0:
        status = 99
        try:
            status = body()
        finally:
            os._exit(status)
    ended = processes.wait(child.pidfd, pidfd=True)
    os.close(child.pidfd)
    assert ended is not None
    assert ended.pid == child.pid
    return ended.exit_status


def test_the_child_is_sound_python(in_child: InChild) -> None:
    def inside() -> int:
        import decimal

        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(int(decimal.Decimal(41))))
        thread.start()
        thread.join()
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, b"grandchild")
            os._exit(0)
        ran = subprocess.run(["true"], check=False).returncode
        is_main = threading.current_thread() is threading.main_thread()
        return answers[0] + (os.read(reading, 20) == b"grandchild") + ran + (0 if is_main else 50)

    assert in_child(lambda: cloned_status(inside)) == 42


def test_the_hooks_of_register_at_fork_run_on_both_sides(in_child: InChild) -> None:
    def body() -> list[str]:
        seen: list[str] = []
        os.register_at_fork(
            before=lambda: seen.append("before"),
            after_in_parent=lambda: seen.append("parent"),
            after_in_child=lambda: seen.append("child"),
        )
        assert cloned_status(lambda: 7 if seen == ["before", "child"] else 8) == 7
        return seen

    assert in_child(body) == ["before", "parent"]


def test_libc_knows_the_childs_thread_id(in_child: InChild) -> None:
    def inside() -> int:
        # An error-checking mutex compares its owner with the id that libc keeps; pthread_kill uses it to signal.
        signal.signal(signal.SIGUSR1, lambda *_: os._exit(42))
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        time.sleep(5)
        return 1

    assert in_child(lambda: cloned_status(inside)) == 42


def test_the_child_is_pid_one_of_a_new_namespace(in_child: InChild) -> None:
    flags = namespaces.CLONE_NEWPID | namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWTIME
    assert in_child(lambda: cloned_status(os.getpid, flags)) == 1


def test_the_child_starts_in_its_cgroup(
    in_child: InChild, make_group: Callable[[tuple[str, ...], bool], cgroups.Group]
) -> None:
    group = make_group((), True)

    def inside() -> int:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            return 5 if f"/{os.path.basename(group.v2)}\n" in file.read() else 6

    assert in_child(lambda: cloned_status(inside, cgroup_fd=os.open(group.v2, os.O_PATH))) == 5


def test_errors_leave_the_interpreter_usable(in_child: InChild) -> None:
    def body() -> list[int]:
        numbers = []
        for arguments in ({"cgroup_fd": 0}, {"flags": 0x10000}):  # no cgroup; CLONE_THREAD without CLONE_VM
            try:
                processes.clone3(**arguments)
            except OSError as error:
                numbers.append(error.errno or 0)
        thread = threading.Thread(target=lambda: numbers.append(0))
        thread.start()
        thread.join()
        return numbers

    assert in_child(body) == [errno.EBADF, errno.EINVAL, 0]


def test_a_signal_handler_that_raises_leaves_no_lock_behind(in_child: InChild) -> None:
    class Interrupted(Exception):
        pass

    def handler(*_: object) -> None:
        raise Interrupted

    def body() -> list[Any]:
        signal.signal(signal.SIGALRM, handler)
        interrupted = 0
        deadline = time.monotonic() + 1.5
        while interrupted < 50 and time.monotonic() < deadline:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0003)
                while True:
                    child = processes.clone3()
                    if child.pid == 0:
                        os._exit(0)
            except Interrupted:
                interrupted += 1
        return [interrupted > 5, _imp.lock_held(), list(signal.pthread_sigmask(signal.SIG_BLOCK, ()))]

    assert in_child(body) == [True, False, []]


def test_where_clone3_is_hidden_clone_does(in_child: InChild) -> None:
    from engine.linux import seccomp

    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}],
    }

    def body() -> list[int]:
        processes.set_no_new_privileges()
        seccomp.load(seccomp.compile(profile))
        got = [cloned_status(lambda: 3), cloned_status(os.getpid, namespaces.CLONE_NEWPID)]
        for arguments in ({"cgroup_fd": 0}, {"flags": namespaces.CLONE_NEWTIME}):
            try:
                processes.clone3(**arguments)
            except OSError as error:
                got.append(error.errno or 0)
        return got

    assert in_child(body) == [3, 1, errno.ENOSYS, errno.ENOSYS]


def test_the_thread_id_is_found_where_libc_keeps_it() -> None:
    address = cloning._tid_address()
    assert ctypes.c_int.from_address(address).value == threading.get_native_id()


def test_identity_tells_a_process_from_a_dead_one() -> None:
    assert processes.alive(processes.identity())
    child = subprocess.Popen(["sleep", "30"])
    known = processes.identity(child.pid)
    assert processes.alive(known)
    assert not processes.alive(known._replace(start_time=known.start_time + 1))
    assert not processes.alive(known._replace(boot_id="another boot"))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.alive(known), "a zombie has ended"
    child.wait()
    assert not processes.alive(known)
    with pytest.raises(ProcessLookupError):
        processes.identity(child.pid)


def test_identity_of_a_process_with_a_hostile_name(in_child: InChild) -> None:
    def body() -> bool:
        before = processes.identity()
        processes.set_name(") R 1 (x) 0")
        return processes.identity() == before

    assert in_child(body)


def test_wait_tells_how_it_ended() -> None:
    child = subprocess.Popen(["sleep", "30"])
    assert processes.wait(child.pid, os.WEXITED | os.WNOHANG) is None
    pidfd = processes.pidfd_open(child.pid)
    assert processes.pidfd_pid(pidfd) == child.pid
    processes.pidfd_send_signal(pidfd, signal.SIGTERM)
    ended = processes.wait(pidfd, pidfd=True)
    assert ended == (child.pid, 0, signal.SIGTERM)
    assert ended is not None
    assert ended.exit_status == 143
    assert processes.pidfd_pid(pidfd) == -1
    os.close(pidfd)
    with pytest.raises(ProcessLookupError, match=str(child.pid)):
        processes.pidfd_open(child.pid)
    with pytest.raises(ChildProcessError):
        processes.wait(child.pid)
    child.returncode = 0


def test_pidfd_getfd_takes_another_processs_file(tmp_path: Any) -> None:
    with open(tmp_path / "file", "w", encoding="utf-8") as file, subprocess.Popen(["sleep", "30"], stdin=file) as child:
        pidfd = processes.pidfd_open(child.pid)
        fd = processes.pidfd_getfd(pidfd, 0)
        assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "file"))
        assert not os.get_inheritable(fd)
        child.kill()
        os.close(fd)
        os.close(pidfd)


def test_a_program_starts_with_signals_as_a_fresh_process(in_child: InChild) -> None:
    def body() -> dict[str, str]:
        for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGRTMIN):
            signal.signal(number, signal.SIG_IGN)
        ignore = (1).to_bytes(8, "little") + bytes(24)
        check(syscall(NUMBERS["rt_sigaction"], 32, ignore, None, 8))  # libc's own, for pthread_cancel
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
        processes.reset_signals()
        output = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, restore_signals=False)
        lines = dict(line.split(":\t", 1) for line in output.stdout.splitlines() if line.startswith("Sig"))
        return {key: lines[key] for key in ("SigBlk", "SigIgn", "SigCgt")}

    assert set(in_child(body).values()) == {"0" * 16}


def test_rlimits(in_child: InChild) -> None:
    def body() -> list[Any]:
        processes.set_rlimit("RLIMIT_NOFILE", 50, 100)
        processes.set_rlimit("RLIMIT_FSIZE", 1 << 40, processes.UNLIMITED)
        processes.set_rlimit("RLIMIT_CPU", -1, -1)
        try:
            processes.set_rlimit("RLIMIT_NOFILE", 101, 100)
        except ValueError as error:
            return [str(error)]
        except OSError as error:
            return [error.filename, resource.getrlimit(resource.RLIMIT_NOFILE), processes.get_rlimit("RLIMIT_FSIZE")]
        return []

    assert in_child(body) == ["RLIMIT_NOFILE", [50, 100], [1 << 40, processes.UNLIMITED]]


def test_rlimit_names_are_the_kernels() -> None:
    for name, number in processes.RLIMITS.items():
        assert getattr(resource, name, number) == number
    with pytest.raises(KeyError):
        processes.set_rlimit("RLIMIT_NONSENSE", 1, 1)


def test_close_range(in_child: InChild) -> None:
    def body() -> list[Any]:
        low, high = (os.dup2(0, number) for number in (200, 210))
        processes.close_range(200, 205)
        gone = not os.path.exists(f"/proc/self/fd/{low}")
        os.set_inheritable(high, True)
        processes.close_range(206, flags=processes.CLOSE_RANGE_CLOEXEC)
        return [gone, os.get_inheritable(high)]

    assert in_child(body) == [True, False]


def test_close_range_where_the_kernel_lacks_it(in_child: InChild) -> None:
    def body() -> list[Any]:
        low, high = (os.dup2(0, number) for number in (200, 210))
        os.set_inheritable(high, True)
        processes._close_each(200, 205, 0)
        processes._close_each(206, 1 << 32, processes.CLOSE_RANGE_CLOEXEC)
        return [os.path.exists(f"/proc/self/fd/{low}"), os.get_inheritable(high)]

    assert in_child(body) == [False, False]


def test_what_a_process_sets_for_itself(in_child: InChild) -> None:
    def body() -> list[Any]:
        processes.set_name("a-name-that-is-too-long")
        processes.set_oom_score_adj(321)
        processes.set_no_new_privileges()
        seen = [Path(f"/proc/self/{name}").read_text().strip() for name in ("comm", "oom_score_adj")]
        return [*seen, processes.no_new_privileges()]

    assert in_child(body) == ["a-name-that-is-", "321", True]


def test_an_oom_score_out_of_range_names_the_file(in_child: InChild) -> None:
    with pytest.raises(OSError, match="oom_score_adj"):
        processes.set_oom_score_adj(5000)


def test_orphans_come_to_the_subreaper(in_child: InChild) -> None:
    def body() -> bool:
        processes.set_child_subreaper()
        reading, writing = os.pipe()
        parent = os.fork()
        if parent == 0:
            orphan = os.fork()
            if orphan == 0:
                time.sleep(0.1)
                os._exit(23)
            os.write(writing, str(orphan).encode())
            os._exit(0)
        processes.wait(parent)
        ended = processes.wait(int(os.read(reading, 20)))
        return ended is not None and ended.code == 23

    assert in_child(body)


def test_the_parents_death_is_signalled(in_child: InChild) -> None:
    def body() -> bool:
        processes.set_child_subreaper()
        reading, writing = os.pipe()
        parent = os.fork()
        if parent == 0:
            child = os.fork()
            if child == 0:
                processes.set_parent_death_signal(signal.SIGKILL)
                os.write(writing, str(os.getpid()).encode())
                time.sleep(30)
                os._exit(0)
            time.sleep(30)
            os._exit(0)
        child = int(os.read(reading, 20))
        os.kill(parent, signal.SIGKILL)
        processes.wait(parent)
        ended = processes.wait(child)
        return ended is not None and ended.signal == signal.SIGKILL

    assert in_child(body)


def test_a_session_keyring_of_its_own(in_child: InChild) -> None:
    def body() -> bool:
        return processes.join_session_keyring() != processes.join_session_keyring()

    assert in_child(body)


def test_a_new_session(in_child: InChild) -> None:
    def body() -> bool:
        if os.fork() == 0:
            processes.new_session()
            os._exit(0 if os.getsid(0) == os.getpid() else 1)
        return os.wait()[1] == 0

    assert in_child(body)
