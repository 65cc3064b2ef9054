"""Nonsense for each flag is refused with a sentence that quotes it, and advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.tests.spec.facts_for_tests import FACTS, asked, spec_of
from engine.errors import InvalidInput, Unsupported

NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"env": ["=x"]}, "no usable name"),
    ({"env": ["A B=x"]}, "no usable name"),
    ({"env_file": ["/nonexistent"]}, "no such file"),
    ({"workdir": "srv"}, "absolute path"),
    ({"user": ""}, "NAME or UID"),
    ({"user": "a:b:c"}, "NAME or UID"),
    ({"user": "4294967295"}, "beyond"),
    ({"user": "../etc"}, "NAME or UID"),
    ({"ulimit": ["nofile"]}, "NAME=SOFT"),
    ({"ulimit": ["files=1"]}, "none of"),
    ({"ulimit": ["nofile=2:1"]}, "above the hard one"),
    ({"ulimit": ["nofile=-1:5"]}, "above the hard one"),
    ({"ulimit": ["nofile=many"]}, "a number"),
    ({"oom_score_adj": "2000"}, "out of range"),
    ({"oom_score_adj": "much"}, "whole number"),
    ({"restart": "sometimes"}, "no restart policy"),
    ({"restart": "unless-stopped:2"}, "on-failure alone"),
    ({"restart": "on-failure:"}, "number of restarts"),
    ({"restart": "always", "rm": True}, "contradict"),
    ({"stop_signal": "SIGNONSENSE"}, "signal's name"),
    ({"stop_signal": "0"}, "1 to 64"),
    ({"stop_signal": "RTMAX+1"}, "real-time"),
    ({"stop_signal": "_DFL"}, "signal's name"),
    ({"stop_timeout": "-2"}, "negative"),
    ({"stop_timeout": "soon"}, "whole number"),
    ({"timeout": "0"}, "longer than no time"),
    ({"timeout": "5 parsecs"}, "is not a time"),
    ({"timeout": "-5"}, "is not a time"),
    ({"volume": ["/d"]}, "anonymous volume"),
    ({"volume": ["data:/d"]}, "named volume 'data'"),
    ({"volume": ["./d:/d"]}, "not an absolute path"),
    ({"volume": ["/s:d"]}, "absolute path in the container"),
    ({"volume": ["/s:/"]}, "container's root"),
    ({"volume": ["/s:/.."]}, "container's root"),
    ({"volume": ["/s:/d:rx"]}, "option 'rx'"),
    ({"volume": ["/s:/d:rshared"]}, "cannot spread"),
    ({"volume": ["/s:/d:idmap"]}, "the container has the host's ids"),
    ({"userns": "keep-id"}, "one of private, auto, host"),
    ({"userns": "map:"}, "CONTAINER:HOST:SIZE"),
    ({"userns": "map:1:2:3"}, "no row for 0"),
    ({"userns": "private", "uidmap": ["0:1000:10"]}, "both say which ids"),
    ({"userns": "private", "namespace": ["user=host"]}, "contradict"),
    ({"uidmap": ["0:1000:10"], "namespace": ["user=host"]}, "contradict"),
    ({"userns": "private", "privileged": True}, "root of a user namespace never has"),
    ({"namespace": ["user=/proc/1/ns/user"], "privileged": True}, "root of a user namespace never has"),
    ({"uidmap": ["0:1000"]}, "CONTAINER:HOST:SIZE"),
    ({"uidmap": ["0:-1:5"]}, "CONTAINER:HOST:SIZE"),
    ({"uidmap": ["0:1000:0"]}, "names no ids"),
    ({"uidmap": ["0:4294967290:6"]}, "beyond"),
    ({"uidmap": ["0:1000:10", "5:5000:10"]}, "5 of the container twice"),
    ({"gidmap": ["0:1000:10", "10:1009:10"]}, "1009 of the host twice"),
    ({"gidmap": [f"{n}:{n}:1" for n in range(341)]}, "more rows than the kernel takes"),
    ({"volume": ["/s:/d:Z"]}, "SELinux"),
    ({"volume": ["/s:/d", "/t:/d/"]}, "two mounts go to /d"),
    ({"mount": ["target=/d"]}, "no named volumes"),
    ({"mount": ["type=nfs,target=/d"]}, "neither bind nor tmpfs"),
    ({"mount": ["type=bind,target=/d"]}, "needs a source"),
    ({"mount": ["type=bind,source=d,target=/d"]}, "absolute path"),
    ({"mount": ["type=bind,source=/d"]}, "needs a target"),
    ({"mount": ["type=bind,source=/d,target=/d,fast"]}, "key 'fast'"),
    ({"mount": ["type=bind,source=/d,src=/e,target=/d"]}, "source twice"),
    ({"mount": ["type=bind,source=/d,target=/d,readonly=perhaps"]}, "neither true nor false"),
    ({"mount": ["type=bind,source=/d,target=/d,bind-propagation=shared"]}, "cannot spread"),
    ({"mount": ['type=bind,"source=/a,target=/b']}, "absolute path"),
    ({"mount": ["type=tmpfs,target=/d,source=/s"]}, "a tmpfs does not have"),
    ({"mount": ["type=tmpfs,target=/d,tmpfs-mode=999"]}, "octal"),
    ({"tmpfs": ["t"]}, "absolute path in the container"),
    ({"tmpfs": ["/t:size=big"]}, "not a size"),
    ({"tmpfs": ["/t:lowerdir=/etc"]}, "no option of a tmpfs"),
    ({"tmpfs": ["/t:mode=8"]}, "octal"),
    ({"shm_size": "0.1b"}, "less than the smallest"),
    ({"device": ["fuse"]}, "path in /dev"),
    ({"device": ["/dev/a:/dev/b:x"]}, "not made of r, w and m"),
    ({"device": ["/dev/a:/dev/b:rr"]}, "not made of r, w and m"),
    ({"device": ["/dev/a:b"]}, "absolute path"),
    ({"device": ["/dev/a:/b:r:w"]}, "too many parts"),
    ({"memory": "lots"}, "is not a size"),
    ({"memory": "-1"}, "is not a size"),
    ({"memory": "1m"}, "6m"),
    ({"memory": "99999999p"}, "more than the kernel"),
    ({"memory_swap": "1g"}, "there is no --memory"),
    ({"memory": "64m", "memory_swap": "32m"}, "less than --memory"),
    ({"cpus": "half"}, "number of processors"),
    ({"cpus": "0.001"}, "smallest share"),
    ({"cpus": "5"}, "more than the machine has"),
    ({"cpu_shares": "1"}, "out of range"),
    ({"cpuset_cpus": "a-b"}, "list of processors"),
    ({"cpuset_cpus": "3-1"}, "runs backwards"),
    ({"cpuset_cpus": "0-9"}, "no processor 4"),
    ({"pids_limit": "1.5"}, "whole number"),
    ({"network": "bridge"}, "no network driver"),
    ({"network": "host2"}, "not one of"),
    ({"network": "container:"}, "not one of"),
    ({"pid": "none"}, "not one of"),
    ({"ipc": "x"}, "not one of"),
    ({"uts": "x"}, "not one of"),
    ({"cgroupns": "x"}, "not one of"),
    ({"namespace": ["disk=new"]}, "does not begin with one of"),
    ({"namespace": ["net=old"]}, "is neither new"),
    ({"namespace": ["mount=host"]}, "mount namespace of its own"),
    ({"namespace": ["net=new", "network=host"]}, "second time"),
    ({"namespace": ["net=new"], "network": "host"}, "contradict"),
    ({"hostname": "a b"}, "is not a name of at most 64"),
    ({"hostname": "x" * 65}, "is not a name of at most 64"),
    ({"hostname": "web", "uts": "host"}, "uts namespace"),
    ({"init": True, "pid": "host"}, "process 1"),
    ({"sysctl": ["net.a"]}, "KEY=VALUE"),
    ({"sysctl": ["kernel.panic=1"]}, "whole machine"),
    ({"sysctl": ["net/../kernel.panic=1"]}, "whole machine"),
    ({"sysctl": ["net.../../kernel/panic=1"]}, "whole machine"),
    ({"sysctl": ["net.core.somaxconn=1"], "network": "host"}, "shares the net namespace"),
    ({"cap_add": ["FLY"]}, "no capability"),
    ({"cap_drop": ["FLY"]}, "no capability"),
    ({"security_opt": ["trust"]}, "not an option"),
    ({"security_opt": ["no-new-privileges:maybe"]}, "neither true nor false"),
    ({"security_opt": ["label=type:x"]}, "SELinux"),
    ({"security_opt": ["apparmor=x"]}, "AppArmor"),
    ({"security_opt": ["seccomp="]}, "names no profile"),
    ({"security_opt": ["mask=proc"]}, "not absolute"),
    ({"label": ["=x"]}, "KEY=VALUE"),
    ({"log_opt": ["x"]}, "KEY=VALUE"),
]


@pytest.mark.parametrize(("given", "reason"), NONSENSE, ids=[repr(row[0]) for row in NONSENSE])
def test_nonsense_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises((InvalidInput, Unsupported)) as raised:
        spec_of("x", **given)
    assert reason in raised.value.what
    assert raised.value.fix
    assert "\n" not in raised.value.what + raised.value.fix


def test_a_capability_the_engine_lacks() -> None:
    poor = FACTS._replace(capabilities=("CAP_CHOWN", "CAP_KILL"))
    assert spec_of("x", facts=poor)["process"]["capabilities"]["bounding"] == ["CAP_CHOWN", "CAP_KILL"]
    with pytest.raises(Unsupported, match="CAP_SYS_ADMIN"):
        spec_of("x", facts=poor, cap_add=["SYS_ADMIN"])


def test_init_without_a_program() -> None:
    with pytest.raises(Unsupported) as raised:
        spec_of("x", facts=FACTS._replace(init=""), init=True)
    assert "apt install tini" in raised.value.fix


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "no defaultAction"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}', "not a list of rules"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"includes": {"caps": ["CAP_BPF"]}}]}', "includes"),
        ("x" * (1 << 21), "longer than"),
    ],
)
def test_a_broken_seccomp_profile(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "profile"
    file.write_text(content)
    with pytest.raises((InvalidInput, Unsupported), match=reason):
        asked("x", security_opt=[f"seccomp={file}"])


def test_a_seccomp_profile_of_ones_own(tmp_path: Path) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    file = tmp_path / "profile"
    file.write_text(json.dumps(profile))
    assert spec_of("x", security_opt=[f"seccomp={file}"])["linux"]["seccomp"] == profile


@pytest.mark.parametrize("content", [b"A=\xff\n", b"two words=1\n", b"=1\n"])
def test_a_broken_env_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match="--env-file"):
        asked("x", env_file=[str(file)])
