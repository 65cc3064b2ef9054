"""Checks of the flags for streams, the process, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.e2e.box import Container, Done, alive, until
from tests.e2e.scene import Scene
from tests.e2e.terminal import Terminal


def detach(scene: Scene) -> None:
    box = scene.box
    with box.to_be_removed() as name:
        shown = box.done("run", *scene.typed, "--name", name, box.image, "sleep", "600").stdout
        assert re.fullmatch(r"[0-9a-f]{64}\n", shown)
        container = Container(box, name)
        assert container.inspect()["Id"] == shown.strip()
        assert Path(f"/proc/{container.pid}/cmdline").read_bytes() == b"sleep\x00600\x00"


def interactive(scene: Scene) -> None:
    assert scene.run("cat", input="typed\n") == "typed\n"
    assert scene.bare("cat", input="typed\n") == ""


def attach(scene: Scene) -> None:
    box, script = scene.box, "echo output; echo errors >&2"
    with box.to_be_removed() as name:
        done = box.done("run", *scene.typed, "--name", name, box.image, "sh", "-c", script)
        assert (done.stdout, done.stderr) == ("", "errors\n")
        assert Container(box, name).logs() == "output\nerrors\n"
    done = box.done("run", "--rm", box.image, "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("output\n", "errors\n")


def attach_no_input(scene: Scene) -> None:
    """It has a standard input, which nobody is connected to: reading it takes until somebody is."""
    read = "timeout 0.5 cat || echo waited"
    assert scene.run(read, input="typed\n") == "waited\n"
    assert scene.bare(read, "-i", "-a", "stdin", "-a", "stdout", input="typed\n") == "typed\n"


def sig_proxy(scene: Scene) -> None:
    """Else the process gets it, and may do as it likes."""
    box, script = scene.box, "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    for flags, status, goes_on in ((scene.typed, -signal.SIGTERM, True), ((), 7, False)):
        with box.to_be_removed() as name:
            running = box.root.popen(
                "run", *flags, "--name", name, box.image, "sh", "-c", script, stdout=subprocess.PIPE
            )
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=30)
            assert (running.returncode, Container(box, name).state["Running"]) == (status, goes_on)


def detach_keys(scene: Scene) -> None:
    box = scene.box
    with box.to_be_removed() as name:
        command = box.root.command("run", "-it", *scene.typed, "--name", name, box.image, "/bin/sh")
        with Terminal(command, box.root.environment) as terminal:
            terminal.type("echo $((6 * 7))\n")
            terminal.wait_for("42")
            terminal.type("\x18x")
            assert terminal.end() == 0
        assert alive(Container(box, name).pid)


def remove(scene: Scene) -> None:
    box = scene.box
    with box.to_be_removed() as name:
        assert box.done("run", "--name", name, box.image, "true").stdout == ""
        assert name in box.done("ps", "--all").stdout
        assert len(box.left()) > 1
    with box.to_be_removed() as name:
        box.done("run", *scene.typed, "--name", name, box.image, "true")
        assert name not in box.done("ps", "--all").stdout
        assert box.left() == []


def named(scene: Scene) -> None:
    box = scene.box
    name = scene.typed[-1]
    try:
        box.done("run", "--detach", *scene.typed, box.image, "sleep", "600")
        assert box.done("exec", name, "cat", "/proc/1/cmdline").stdout == "sleep\x00600\x00"
    finally:
        box.done("rm", "--force", name)


def env(scene: Scene) -> None:
    shown = scene.run("env", env={"PASSED_ON": "from outside", "NOT_NAMED": "x"}).splitlines()
    assert {"GREETING=hello  world", "PASSED_ON=from outside"} <= set(shown)
    assert not any(line.startswith("NOT_NAMED") for line in shown)


def env_file(scene: Scene) -> None:
    (scene.place / "env").write_text("# a comment\nFIRST=1\nSECOND=two words\nPASSED_ON\n")
    shown = scene.run("env", "--env", "FIRST=typed", env={"PASSED_ON": "from outside"}).splitlines()
    assert {"FIRST=typed", "SECOND=two words", "PASSED_ON=from outside"} <= set(shown)


def env_host(scene: Scene) -> None:
    """What is typed counts most, then the image's own, then the command's, which are all there."""
    given = {"GREETING": "hello  world", "PATH_OF_MINE": "x", "HOSTNAME": "elsewhere", "TYPED": "no"}
    shown = scene.run("env", "--env", "TYPED=yes", env=given).splitlines()
    assert {"GREETING=hello  world", "PATH_OF_MINE=x", "TYPED=yes"} <= set(shown)
    assert "HOSTNAME=elsewhere" not in shown
    assert "GREETING" not in scene.bare("env", env=given)


def groups(scene: Scene) -> None:
    assert set(scene.run("id -G").split()) == {"0", "77", "1000"}
    assert scene.bare("id -G") == "0\n"


def groups_of_user(scene: Scene) -> None:
    """A command that is executed in it later is in them too, as whatever user."""
    with scene.box.container(*scene.typed) as container:
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert "\nGroups:\t77 1000 \n" in status
        assert set(container.sh("id -G").split()) == {"9", "77", "1000"}
        assert set(container.sh("id -G", "-u", "8:8").split()) == {"8", "77", "1000"}


def preserve_fds(scene: Scene) -> None:
    """They have the numbers that they have here, no other is passed, and none is kept open by the engine."""
    box, (one, two) = scene.box, (scene.place / "one", scene.place / "two")
    one.write_text("first\n")
    two.write_text("second\n")
    look = (*scene.typed, box.image, "sh", "-c", "cat <&3; cat <&4; ls /proc/1/fd; true")
    for runtime in ("native", "runc"):
        done = _redirected(scene, f"3<{one} 4<{two} 5<{one} 9<{two}", "--rm", "--runtime", runtime, *look)
        assert done.stdout.split() == ["first", "second", *"01234"], done.stderr
        reading, writing = os.pipe()
        with box.to_be_removed() as name, os.fdopen(reading) as reader:
            say = ("-d", "--name", name, "--runtime", runtime, box.image, "sh", "-c", "sleep 0.2; echo said >&3")
            _redirected(scene, f"3>&{writing} 4<{one}", *scene.typed, *say, pass_fds=(writing,))
            os.close(writing)
            assert reader.read() == "said\n", "the end comes as the container ends"
    missing = _redirected(scene, f"3<{one}", "--rm", *look)
    assert (missing.returncode, "descriptor 4" in missing.stderr) == (125, True)


def socket_activation(scene: Scene) -> None:
    """A service manager's descriptors are the container's, when they are for this very command (sd_listen_fds(3))."""
    (scene.place / "one").write_text("first\n")
    script = "echo $LISTEN_PID,$LISTEN_FDS,$LISTEN_FDNAMES; ls /proc/1/fd; true"
    command = ("--rm", scene.box.image, "sh", "-c", script)
    given = f"3<{scene.place}/one"
    asked = "LISTEN_FDS=1 LISTEN_FDNAMES=web"
    passed = _redirected(scene, given, *command, before=f"export {asked} LISTEN_PID=$$;")
    assert passed.stdout.split() == ["1,1,web", *"0123"]
    others = _redirected(scene, given, *command, before=f"export {asked} LISTEN_PID=1;")
    assert others.stdout.split() == [",,", *"012"]
    own = _redirected(scene, given, *scene.typed, *command, before=f"export {asked} LISTEN_PID=$$;")
    assert own.stdout.split() == [",,", *"012"], "what is typed counts"


def _redirected(scene: Scene, given: str, *arguments: str, before: str = "", **options: Any) -> Done:
    """Run `engine run` with a shell's redirections, and variables set before it; the shell becomes the command."""
    command = scene.box.root.command("run", *arguments)
    shell = ["bash", "-c", f'{before} exec "$@" {given}', "sh", *command]
    return subprocess.run(
        shell, env=scene.box.root.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        **options,
    )  # fmt: skip


def entrypoint(scene: Scene) -> None:
    box = scene.box
    assert box.done("run", "--rm", *scene.typed, box.image, "one", "two words").stdout == "one two words\n"


def init(scene: Scene) -> None:
    orphan, look = "(sleep 1 &); exec sleep 600", "ps -o pid,stat,comm | grep sleep"
    with scene.box.container(*scene.typed, script=orphan) as container:
        assert container.sh("cat /proc/1/comm") == "engine-init\n"
        until(lambda: len(container.sh(look).splitlines()) == 1, "an orphan that is reaped")
    with scene.box.container(script=orphan) as container:
        assert container.sh("cat /proc/1/comm") == "sleep\n"
        until(lambda: " Z " in container.sh(look), "an orphan that nobody reaps")


def ulimit(scene: Scene) -> None:
    """The kernel itself refuses the file beyond the limit."""
    open_files = 'exec 3</proc/self/status; for fd in $(seq 4 40); do eval "exec $fd<&3" || exit 3; done; echo all'
    assert scene.run("ulimit -Hn; ulimit -Sn") == "30\n20\n"
    assert scene.run(open_files, status=1) == ""
    assert scene.bare(open_files) == "all\n"


def restart(scene: Scene) -> None:
    """Each start has an uptime of its own, and what the first one wrote is still there."""
    script = "echo run >>/runs; test $(wc -l </runs) -gt 2 && exec sleep 600; exit 3"
    with scene.box.container(*scene.typed, script=script) as container:
        until(lambda: container.pid and container.inspect()["RestartCount"] == 2, "a third run")
        assert container.sh("wc -l </runs") == "3\n"
    with scene.box.container(script=script) as container:
        assert container.wait() == 3
        assert container.state["Status"] == "exited"


def stop_signal(scene: Scene) -> None:
    script = "trap 'exit 33' USR1; trap 'exit 44' TERM; echo ready; while :; do sleep 0.02; done"
    for flags, status in ((scene.typed, 33), ((), 44)):
        with scene.box.container(*flags, script=script) as container:
            container.wait_for_log("ready")
            scene.box.done("stop", container.name)
            assert container.state["ExitCode"] == status


def stop_timeout(scene: Scene) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.02; done"
    with scene.box.container(*scene.typed, script=script) as container:
        container.wait_for_log("ready")
        began = time.monotonic()
        scene.box.done("stop", container.name)
        assert 1 <= time.monotonic() - began < 8, "the default is ten seconds"
        assert container.state["ExitCode"] == 137


def timeout(scene: Scene) -> None:
    began = time.monotonic()
    scene.run("trap '' TERM; sleep 600", status=137)
    assert 0.3 <= time.monotonic() - began < 20
    with scene.box.container(*scene.typed) as container:
        pid = container.pid
        until(lambda: not alive(pid), "the end of a container whose time is over")
        assert container.wait() == 137
        assert container.state["Error"] == "timeout"
