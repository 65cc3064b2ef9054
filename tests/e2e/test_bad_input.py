"""What cannot be done: one sentence that says what is wrong, one line that says what to do, and nothing left behind."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.box import Box, refused

TYPED: list[tuple[str, str]] = [
    ("--bogus", "--bogus"),
    ("--rm=perhaps", "--rm"),
    ("-d=perhaps", "-d"),
    ("--detach-keys ctrl-", "ctrl-"),
    ("--name a/b", "a/b"),
    ("--env =x", "=x"),
    ("--env-file {place}/missing", "{place}/missing"),
    ("--env-file {place}", "{place}"),
    ("--env-host=perhaps", "--env-host"),
    ("--workdir not/absolute", "not/absolute"),
    ("--workdir /etc/passwd", "/etc/passwd"),
    ("--user a:b:c", "a:b:c"),
    ("--user nobody-of-that-name", "nobody-of-that-name"),
    ("--group-add a:b", "a:b"),
    ("--group-add no-such-group", "no-such-group"),
    ("--group-add 99999999999", "99999999999"),
    ("--ulimit bogus=1", "bogus"),
    ("--ulimit nofile=5:3", "nofile"),
    ("--oom-score-adj 5000", "5000"),
    ("--oom-score-adj goat", "goat"),
    ("--restart goat", "goat"),
    ("--restart always:3", "always:3"),
    ("--restart on-failure:many", "on-failure:many"),
    ("--restart on-failure:-1", "on-failure:-1"),
    ("--restart always", "--rm"),
    ("--stop-signal NOSUCH", "NOSUCH"),
    ("--stop-timeout soon", "soon"),
    ("--timeout soon", "soon"),
    ("--timeout 0", "--timeout"),
    ("--health-cmd true --no-healthcheck", "contradict"),
    ("--health-interval soon", "soon"),
    ("--health-interval 1s", "--health-"),
    ("--health-timeout soon", "soon"),
    ("--health-retries goat", "goat"),
    ("--health-cmd true --health-retries -1", "-1"),
    ("--health-start-period soon", "soon"),
    ("--health-start-interval soon", "soon"),
    ("--health-cmd true --health-start-interval 0.1ms", "--health-start-interval"),
    ("--volume goat", "goat"),
    ("--volume relative/path:/data", "relative/path"),
    ("--volume {place}:relative", "relative"),
    ("--volume {place}:/data:goat", "goat"),
    ("--volume {place}/file/below:/data", "{place}/file/below"),
    ("--mount type=nfs,src=/x,dst=/y", "nfs"),
    ("--mount goat", "goat"),
    ("--mount type=bind,src={place}/missing,dst=/y", "{place}/missing"),
    ("--tmpfs relative", "relative"),
    ("--tmpfs /data:goat", "goat"),
    ("--volumes-from no-such-container", "no-such-container"),
    ("--volumes-from data:goat", "data:goat"),
    ("--volumes-from :ro", ":ro"),
    ("--shm-size goat", "goat"),
    ("--device /dev/no-such-device", "/dev/no-such-device"),
    ("--device /dev/null:/dev/x:goat", "goat"),
    ("--memory 12q", "12q"),
    ("--memory 1k", "--memory"),
    ("--memory-swap 1g", "--memory-swap"),
    ("--memory 64m --memory-swap 32m", "--memory-swap"),
    ("--cpus goat", "goat"),
    ("--cpus 4096", "4096"),
    ("--cpu-shares 1", "--cpu-shares"),
    ("--memory-reservation goat", "goat"),
    ("--memory 16m --memory-reservation 32m", "--memory-reservation"),
    ("--memory-swappiness 101", "--memory-swappiness"),
    ("--oom-kill-disable", "--oom-kill-disable"),
    ("--cpu-quota 999", "--cpu-quota"),
    ("--cpu-period 999", "--cpu-period"),
    ("--cpus 1 --cpu-quota 50000", "--cpus"),
    ("--cpu-rt-period goat", "goat"),
    ("--cpu-rt-period 1000 --cpu-rt-runtime 2000", "--cpu-rt-runtime"),
    ("--cpuset-mems 4095", "4095"),
    ("--blkio-weight 5", "--blkio-weight"),
    ("--blkio-weight-device /dev/null:100", "/dev/null"),
    ("--device-read-bps goat", "goat"),
    ("--device-write-bps /dev/no-such-disk:1mb", "/dev/no-such-disk"),
    ("--device-read-iops /dev/loop0:goat", "goat"),
    ("--device-write-iops /dev/loop0:-1", "-1"),
    ("--device-cgroup-rule goat", "goat"),
    ("--cgroup-conf goat", "goat"),
    ("--cgroup-conf goat=1", "goat"),
    ("--cgroup-conf cgroup.procs=1", "cgroup.procs"),
    ("--cgroup-conf memory.high=", "memory.high"),
    ("--cpuset-cpus 4095", "4095"),
    ("--cpuset-cpus goat", "goat"),
    ("--pids-limit goat", "goat"),
    ("--network goat", "goat"),
    ("--network bridge", "bridge"),
    ("--network container:no-such-container", "no-such-container"),
    ("--pid goat", "goat"),
    ("--ipc goat", "goat"),
    ("--uts goat", "goat"),
    ("--cgroupns goat", "goat"),
    ("--userns goat", "goat"),
    ("--userns map:0:goat:1", "goat"),
    ("--userns container:no-such-container", "no-such-container"),
    ("--userns private --runtime runc", "runc"),
    ("--userns private --privileged", "--privileged"),
    ("--userns private --user 70000", "70000"),
    ("--userns private --volume /proc/sys:/data:idmap", "/proc/sys"),
    ("--volume {place}:/data:idmap", "idmap"),
    ("--uidmap 0:1000", "0:1000"),
    ("--uidmap 0:1000:10 --userns private", "--uidmap"),
    ("--gidmap 1:1000:10", "1:1000:10"),
    ("--namespace user={place}/file", "{place}/file"),
    ("--namespace goat=new", "goat"),
    ("--namespace mount=host", "mount"),
    ("--namespace net={place}/missing", "{place}/missing"),
    ("--namespace net={place}/file", "{place}/file"),
    ("--namespace net=/proc/self/ns/uts", "/proc/self/ns/uts"),
    ("--namespace net=host --network none", "contradict"),
    ("--hostname not_a_host!", "not_a_host!"),
    ("--hostname box --uts host", "--hostname"),
    ("--domainname not_a_name!", "not_a_name!"),
    ("--domainname example --uts host", "--domainname"),
    ("--add-host goat", "goat"),
    ("--add-host db:1.2.3", "db:1.2.3"),
    ("--add-host db;x:192.0.2.7", "db;x:192.0.2.7"),
    ("--add-host db:host-gateway", "host-gateway"),
    ("--dns goat", "goat"),
    ("--dns-search goat/", "goat/"),
    ("--dns-option #goat", "#goat"),
    ("--init --pid host", "--init"),
    ("--sysctl vm.swappiness=1", "vm.swappiness"),
    ("--sysctl kernel.msgmax", "kernel.msgmax"),
    ("--sysctl net.no.such.setting=1", "net"),
    ("--sysctl kernel.msgmax=goat", "msgmax"),
    ("--cap-add NO_SUCH", "NO_SUCH"),
    ("--cap-drop NO_SUCH", "NO_SUCH"),
    ("--security-opt goat", "goat"),
    ("--security-opt seccomp={place}/missing", "{place}/missing"),
    ("--security-opt seccomp={place}/file", "{place}/file"),
    ("--security-opt mask=relative", "relative"),
    ("--label =x", "=x"),
    ("--label-file {place}/missing", "{place}/missing"),
    ("--annotation goat", "goat"),
    ("--annotation org.opencontainers.image.stopSignal=9", "stopSignal"),
    ("--cidfile {place}/file", "{place}/file"),
    ("--cidfile {place}/missing/file", "{place}/missing/file"),
    ("--pull sometimes", "sometimes"),
    ("--platform goat", "goat"),
    ("--storage no-such-driver", "no-such-driver"),
    ("--cgroup-driver no-such-driver", "no-such-driver"),
    ("--cgroup-parent ../out", "../out"),
    ("--runtime no-such-runtime", "no-such-runtime"),
    ("--log-driver no-such-driver", "no-such-driver"),
    ("--log-opt max-size=goat", "goat"),
    ("--log-opt goat=1", "goat"),
    ("--attach goat", "goat"),
    ("--attach stdin", "stdin"),
    ("--detach --attach stdout", "--attach"),
    ("--sig-proxy=goat", "--sig-proxy"),
    ("--preserve-fds goat", "goat"),
    ("--preserve-fds 1 --restart always", "--restart"),
    ("--preserve-fds 251", "251"),
    ("--preserve-fds 200", "200"),
    ("--trace-file {place}/file/trace", "{place}/file/trace"),
    ("--trace-file /no-such-place/trace", "/no-such-place/trace"),
]


@pytest.mark.parametrize(("typed", "what"), TYPED, ids=[typed for typed, _ in TYPED])
def test_a_flag_with_nonsense(typed: str, what: str, box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no profile, no directory")
    words = typed.replace("{place}", str(tmp_path)).split()
    refused(box("run", "--rm", *words, box.image, "true"), what.replace("{place}", str(tmp_path)))
    assert box.left() == []


def test_each_flag_with_a_value_has_nonsense_for_it(box: Box) -> None:
    help_lines = box.done("run", "--help").stdout.splitlines()
    valued = {
        found.group(1)
        for line in help_lines
        if (found := re.match(r" +(?:-\w, )?(--[-a-z]+)(?:, --[a-z]+)? [A-Z]", line))
    }
    assert len(valued) > 30
    tried = {word for typed, _ in TYPED for word in typed.split() if word.startswith("--")}
    assert valued - tried == {"--entrypoint"}, "every word is a command"


@pytest.mark.parametrize(
    ("image", "what"),
    [
        ("no-such-image", "no-such-image"),
        ("Upper/Case", "Upper"),
        ("busybox:9", "busybox:9"),
        ("sha256:12", "sha256:12"),
    ],
)
def test_an_unknown_image(image: str, what: str, box: Box) -> None:
    refused(box("run", "--rm", "--pull", "never", image, "true"), what)
    assert box.left() == []


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["run"], "IMAGE"), (["start"], "CONTAINER"), (["rnu", "x"], "rnu"), (["stop", "--time", "goat", "x"], "goat"),
        (["kill", "--signal", "NOSUCH", "x"], "NOSUCH"), (["logs", "--tail", "goat", "x"], "goat"),
        (["exec", "no-such-container", "true"], "no-such-container"), (["image", "inspect", "no-such"], "no-such"),
        (["inspect", "no-such"], "no-such"), (["tag", "no-such", "x:1"], "no-such"), (["rmi", "no-such"], "no-such"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_other_commands(words: list[str], what: str, box: Box) -> None:
    refused(box(*words), what)


def test_a_name_in_use(box: Box) -> None:
    with box.container() as container:
        before = box.left()
        for command in ("run", "create"):
            refused(box(command, "--name", container.name, box.image, "true"), container.name)
        assert sorted(box.left()) == sorted(before)
        assert container.state["Running"] is True


def test_of_several_that_want_a_name_at_once_one_gets_it(box: Box) -> None:
    with box.to_be_removed() as name:
        command = ("run", "-d", "--name", name, box.image, "sleep", "600")
        running = [box.root.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)]
        ends = [(one.communicate(timeout=60), one.returncode) for one in running]
        assert sorted(status for _, status in ends) == [0, 125, 125, 125, 125]
        assert all(name in errors for (_, errors), status in ends if status)
        assert len(box.done("ps", "--all", "--quiet").stdout.splitlines()) == 1
    assert box.left() == []


def test_a_script_whose_interpreter_is_missing(box: Box, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    refused(box("run", "--rm", "-v", f"{script}:/script", box.image, "/script"), "/no/such/interpreter", 127)
    script.chmod(0o644)
    refused(box("run", "--rm", "-v", f"{script}:/script", box.image, "/script"), "/script", 126)
    script.write_bytes(b"\x7fELF no program")
    script.chmod(0o755)
    refused(box("run", "--rm", "-v", f"{script}:/script", box.image, "/script"), "/script", 126)


def test_a_command_that_is_missing_or_cannot_be_run(box: Box) -> None:
    refused(box("run", "--rm", box.image, "no-such-command"), "no-such-command", 127)
    refused(box("run", "--rm", box.image, "/no/such/command"), "/no/such/command", 127)
    refused(box("run", "--rm", "--entrypoint", "/etc", box.image), "/etc", 126)
    refused(box("run", "--rm", "--user", "1000", "--cap-drop", "ALL", box.image, "/etc/passwd"), "/etc/passwd", 126)
    assert box.left() == []


def test_no_command_at_all(box: Box) -> None:
    refused(box("run", "--rm", box.image), "command")
    assert box.left() == []
