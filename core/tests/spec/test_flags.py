"""One row for each flag of `engine run`: what is typed, and what the specification or the options say then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.tests.spec.facts_for_tests import FUSE, asked, spec_of
from engine.cli.run_flags import RunFlags
from engine.errors import InvalidInput
from engine.spec.options import HealthOptions, RunOptions
from engine.spec.restart_policy import RestartPolicy
from engine.spec.runtime import Spec

Seen = Callable[[Spec], object]
MIB = 1 << 20
SDA = {"major": 8, "minor": 0}


def mount(spec: Spec, target: str) -> Any:
    return next((one for one in spec["mounts"] if one["destination"] == target), None)


def kinds(spec: Spec) -> dict[str, str]:
    return {one["type"]: one.get("path", "") for one in spec["linux"]["namespaces"]}


TABLE: list[tuple[dict[str, Any], Seen, object]] = [
    ({"tty": True}, lambda s: s["process"]["terminal"], True),
    ({"tty": True}, lambda s: "TERM=xterm" in s["process"]["env"], True),
    ({"env": ["A=1", "A=2", "LANG"]}, lambda s: s["process"]["env"], ["PATH=/bin", "HOSTNAME=0123456789ab", "A=2"]),
    ({"env": ["TOKEN"]}, lambda s: "TOKEN=s3" in s["process"]["env"], True),
    ({"env_host": True}, lambda s: s["process"]["env"][1:4], ["HOME=/root", "TOKEN=s3", "HOSTNAME=0123456789ab"]),
    ({"workdir": "/tmp"}, lambda s: s["process"]["cwd"], "/tmp"),
    ({"user": "1000:50"}, lambda s: s["process"]["user"], {"uid": 1000, "gid": 50, "username": "1000:50"}),
    ({"user": "bob"}, lambda s: s["process"]["user"], {"uid": 0, "gid": 0, "username": "bob"}),
    ({"group_add": ["audio", "7"]}, lambda s: s["process"]["user"]["groupnames"], ["audio", "7"]),
    ({"entrypoint": "/bin/sh"}, lambda s: s["process"]["args"], ["/bin/sh", "x"]),
    ({"entrypoint": ""}, lambda s: s["process"]["args"], ["x"]),
    ({"init": True}, lambda s: s["process"]["args"], ["/dev/engine-init", "--", "/entry", "x"]),
    ({"init": True}, lambda s: mount(s, "/dev/engine-init")["source"], "/usr/bin/tini-static"),
    (
        {"ulimit": ["nofile=1024:2048", "core=-1"]},
        lambda s: s["process"]["rlimits"],
        [
            {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 2048},
            {"type": "RLIMIT_CORE", "soft": (1 << 64) - 1, "hard": (1 << 64) - 1},
        ],
    ),
    ({"oom_score_adj": "-500"}, lambda s: s["process"]["oomScoreAdj"], -500),
    ({"stop_signal": "rtmin+3"}, lambda s: s["annotations"]["org.opencontainers.image.stopSignal"], "37"),
    (
        {"volume": ["/srv/d:/d"]},
        lambda s: mount(s, "/d"),
        {"destination": "/d", "type": "bind", "source": "/srv/d", "options": ["rbind", "rprivate", "rw"]},
    ),
    ({"volume": ["/srv/d:/d/:ro,rslave"]}, lambda s: mount(s, "/d")["options"], ["rbind", "rslave", "rro"]),
    ({"volume": ["/srv/d:/d:rslave"]}, lambda s: s["linux"]["rootfsPropagation"], "rslave"),
    ({"volume": ["/srv/d:/a/../d"]}, lambda s: mount(s, "/d") is not None, True),
    (
        {"mount": ["type=bind,src=/s,dst=/d,ro,bind-propagation=slave,bind-nonrecursive"]},
        lambda s: mount(s, "/d")["options"],
        ["bind", "slave", "ro"],
    ),
    ({"mount": ['type=bind,"source=/a,b",target=/d']}, lambda s: mount(s, "/d")["source"], "/a,b"),
    (
        {"mount": ["type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770"]},
        lambda s: mount(s, "/t"),
        {
            "destination": "/t",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["noexec", "nosuid", "nodev", f"size={MIB}", "mode=1770"],
        },
    ),
    (
        {"tmpfs": ["/t:size=64k,exec,uid=5"]},
        lambda s: mount(s, "/t")["options"],
        ["nosuid", "nodev", "size=65536", "exec", "uid=5"],
    ),
    ({"read_only": True}, lambda s: s["root"], {"path": "rootfs", "readonly": True}),
    ({"read_only": True}, lambda s: mount(s, "/data")["type"], "tmpfs"),
    ({}, lambda s: mount(s, "/data"), None),
    ({"shm_size": "1m"}, lambda s: mount(s, "/dev/shm")["options"][-1], f"size={MIB}"),
    ({"device": ["/dev/fuse:/dev/f:rw"]}, lambda s: s["linux"]["devices"], [{**FUSE, "path": "/dev/f"}]),
    (
        {"device": ["/dev/fuse:r"]},
        lambda s: s["linux"]["resources"]["devices"][-1],
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"},
    ),
    ({"memory": "64m"}, lambda s: s["linux"]["resources"]["memory"], {"limit": 64 * MIB, "swap": 128 * MIB}),
    (
        {"memory": "64m", "memory_swap": "-1"},
        lambda s: s["linux"]["resources"]["memory"],
        {"limit": 64 * MIB, "swap": -1},
    ),
    ({"cpus": "1.5"}, lambda s: s["linux"]["resources"]["cpu"], {"quota": 150000, "period": 100000}),
    (
        {"memory": "0", "memory_swap": "0", "cpus": "0", "cpu_shares": "0"},
        lambda s: list(s["linux"]["resources"]),
        ["devices"],
    ),
    ({"cpu_shares": "512"}, lambda s: s["linux"]["resources"]["cpu"], {"shares": 512}),
    ({"cpuset_cpus": "0,2-3"}, lambda s: s["linux"]["resources"]["cpu"], {"cpus": "0,2-3"}),
    ({"pids_limit": "20"}, lambda s: s["linux"]["resources"]["pids"], {"limit": 20}),
    ({"pids_limit": "-1"}, lambda s: s["linux"]["resources"]["pids"], {"limit": -1}),
    ({"pids_limit": "0"}, lambda s: "pids" in s["linux"]["resources"], False),
    ({"memory_reservation": "1m"}, lambda s: s["linux"]["resources"]["memory"], {"reservation": MIB}),
    ({"memory_swappiness": "0"}, lambda s: s["linux"]["resources"]["memory"], {"swappiness": 0}),
    ({"memory_swappiness": "-1"}, lambda s: list(s["linux"]["resources"]), ["devices"]),
    (
        {"memory": "64m", "oom_kill_disable": True},
        lambda s: s["linux"]["resources"]["memory"]["disableOOMKiller"],
        True,
    ),
    (
        {"cpu_quota": "20000", "cpu_period": "50000"},
        lambda s: s["linux"]["resources"]["cpu"],
        {"quota": 20000, "period": 50000},
    ),
    (
        {"cpu_rt_runtime": "1000", "cpu_rt_period": "2000"},
        lambda s: s["linux"]["resources"]["cpu"],
        {"realtimeRuntime": 1000, "realtimePeriod": 2000},
    ),
    ({"cpuset_mems": "0"}, lambda s: s["linux"]["resources"]["cpu"], {"mems": "0"}),
    ({"blkio_weight": "300"}, lambda s: s["linux"]["resources"]["blockIO"], {"weight": 300}),
    (
        {"blkio_weight_device": ["/dev/sda:300"]},
        lambda s: s["linux"]["resources"]["blockIO"],
        {"weightDevice": [{**SDA, "weight": 300}]},
    ),
    (
        {"device_read_bps": ["/dev/sda:1mb"], "device_write_bps": ["/dev/sda:2048"]},
        lambda s: s["linux"]["resources"]["blockIO"],
        {"throttleReadBpsDevice": [{**SDA, "rate": MIB}], "throttleWriteBpsDevice": [{**SDA, "rate": 2048}]},
    ),
    (
        {"device_read_iops": ["/dev/sda:7"], "device_write_iops": ["/dev/sda:8"]},
        lambda s: s["linux"]["resources"]["blockIO"],
        {"throttleReadIOPSDevice": [{**SDA, "rate": 7}], "throttleWriteIOPSDevice": [{**SDA, "rate": 8}]},
    ),
    (
        {"device_cgroup_rule": ["b 8:* rw"]},
        lambda s: s["linux"]["resources"]["devices"][-1],
        {"allow": True, "type": "b", "major": 8, "access": "rw"},
    ),
    (
        {"cgroup_conf": ["io.max=8:0 rbps=1", "io.max=8:16 rbps=2", "memory.high=1m"]},
        lambda s: s["linux"]["resources"]["unified"],
        {"io.max": "8:0 rbps=1\n8:16 rbps=2", "memory.high": "1m"},
    ),
    ({}, lambda s: list(kinds(s)), ["mount", "uts", "ipc", "pid", "network", "cgroup"]),
    ({"network": "none"}, lambda s: "network" in kinds(s), True),
    ({"network": "host"}, lambda s: "network" in kinds(s), False),
    ({"network": "host"}, lambda s: s["hostname"], "machine"),
    ({"pid": "host"}, lambda s: "pid" in kinds(s), False),
    ({"ipc": "host"}, lambda s: "ipc" in kinds(s), False),
    ({"ipc": "host"}, lambda s: mount(s, "/dev/shm")["source"], "/dev/shm"),
    ({"uts": "host"}, lambda s: ("uts" in kinds(s), s.get("hostname")), (False, None)),
    ({"uts": "host"}, lambda s: "HOSTNAME=machine" in s["process"]["env"], True),
    ({"cgroupns": "host"}, lambda s: "cgroup" in kinds(s), False),
    ({"namespace": ["net=/run/netns/a"]}, lambda s: kinds(s)["network"], "/run/netns/a"),
    ({"namespace": ["time=new"]}, lambda s: "time" in kinds(s), True),
    (
        {"namespace": ["user=new"]},
        lambda s: s["linux"]["uidMappings"],
        [{"containerID": 0, "hostID": 100000, "size": 65536}],
    ),
    ({"userns": "auto"}, lambda s: s["linux"]["gidMappings"], [{"containerID": 0, "hostID": 100000, "size": 65536}]),
    ({"userns": "host"}, lambda s: "user" in kinds(s) or "uidMappings" in s["linux"], False),
    (
        {"userns": "map:0:300000:10,10:5:1"},
        lambda s: s["linux"]["gidMappings"],
        [{"containerID": 0, "hostID": 300000, "size": 10}, {"containerID": 10, "hostID": 5, "size": 1}],
    ),
    (
        {"uidmap": ["0:300000:10"]},
        lambda s: (s["linux"]["uidMappings"] == s["linux"]["gidMappings"], s["linux"]["uidMappings"]),
        (True, [{"containerID": 0, "hostID": 300000, "size": 10}]),
    ),
    (
        {"uidmap": ["0:300000:10"], "gidmap": ["0:400000:10"]},
        lambda s: s["linux"]["gidMappings"],
        [{"containerID": 0, "hostID": 400000, "size": 10}],
    ),
    ({"userns": "private"}, lambda s: "ridmap" in mount(s, "/etc/hosts")["options"], True),
    ({"userns": "private", "volume": ["/d:/d"]}, lambda s: "ridmap" in mount(s, "/d")["options"], False),
    ({"userns": "private", "volume": ["/d:/d:idmap"]}, lambda s: "ridmap" in mount(s, "/d")["options"], True),
    (
        {"userns": "private", "mount": ["type=bind,src=/d,dst=/d,idmap,bind-nonrecursive"]},
        lambda s: mount(s, "/d")["options"],
        ["bind", "rprivate", "rw", "idmap"],
    ),
    ({"hostname": "web.example"}, lambda s: s["hostname"], "web.example"),
    ({"domainname": "nis"}, lambda s: s["domainname"], "nis"),
    ({"annotation": ["a.b=c=d"]}, lambda s: s["annotations"]["a.b"], "c=d"),
    ({"sysctl": ["net.core.somaxconn=9"]}, lambda s: s["linux"]["sysctl"], {"net.core.somaxconn": "9"}),
    ({"cap_add": ["net_admin"]}, lambda s: "CAP_NET_ADMIN" in s["process"]["capabilities"]["bounding"], True),
    ({"cap_drop": ["ALL"]}, lambda s: s["process"]["capabilities"]["permitted"], []),
    (
        {"cap_drop": ["ALL"], "cap_add": ["CHOWN"]},
        lambda s: s["process"]["capabilities"]["effective"],
        ["CAP_CHOWN"],
    ),
    ({"cap_add": ["ALL"], "cap_drop": ["SYS_ADMIN"]}, lambda s: len(s["process"]["capabilities"]["bounding"]), 40),
    ({"privileged": True}, lambda s: len(s["process"]["capabilities"]["bounding"]), 41),
    ({"privileged": True}, lambda s: (s["linux"]["maskedPaths"], s["linux"]["readonlyPaths"]), ([], [])),
    ({"privileged": True}, lambda s: s["linux"]["resources"]["devices"], [{"allow": True, "access": "rwm"}]),
    ({"privileged": True}, lambda s: s["linux"]["devices"], [FUSE]),
    ({"privileged": True}, lambda s: "rw" in mount(s, "/sys")["options"], True),
    ({"privileged": True, "security_opt": []}, lambda s: "seccomp" in s["linux"], False),
    ({"security_opt": ["no-new-privileges"]}, lambda s: s["process"]["noNewPrivileges"], True),
    ({"security_opt": ["no-new-privileges:false"]}, lambda s: s["process"]["noNewPrivileges"], False),
    ({"security_opt": ["seccomp=unconfined"]}, lambda s: "seccomp" in s["linux"], False),
    ({"security_opt": ["systempaths=unconfined"]}, lambda s: s["linux"]["maskedPaths"], []),
    ({"security_opt": ["unmask=/proc/kcore"]}, lambda s: "/proc/kcore" in s["linux"]["maskedPaths"], False),
    ({"security_opt": ["mask=/proc/a:/b"]}, lambda s: s["linux"]["maskedPaths"][-2:], ["/proc/a", "/b"]),
]


@pytest.mark.parametrize(("given", "see", "expected"), TABLE, ids=[repr(row[0]) for row in TABLE])
def test_flag_reaches_the_specification(given: dict[str, Any], see: Seen, expected: object) -> None:
    assert see(spec_of("x", **given)) == expected


KEPT: list[tuple[str, Any, str, object]] = [
    ("detach", True, "detach", True),
    ("interactive", True, "interactive", True),
    ("rm", True, "rm", True),
    ("name", "web", "name", "web"),
    ("volumes_from", ["a", "b:ro"], "volumes_from", ("a", "b:ro")),
    ("add_host", ["a:192.0.2.1", "b.c=[::1]"], "hosts", ("a:192.0.2.1", "b.c:::1")),
    ("dns", ["192.0.2.53", "::1"], "dns", ("192.0.2.53", "::1")),
    ("dns_search", ["example.org", "."], "dns_search", ("example.org", ".")),
    ("dns_option", ["ndots:2"], "dns_options", ("ndots:2",)),
    ("restart", "on-failure:3", "restart", RestartPolicy("on-failure", 3)),
    ("stop_timeout", "3", "stop_timeout", 3),
    ("timeout", "1m30s", "timeout", 90.0),
    ("health_cmd", "true", "health", HealthOptions(command="true")),
    ("health_interval", "1m", "health", HealthOptions(interval=60.0)),
    ("health_timeout", "500ms", "health", HealthOptions(timeout=0.5)),
    ("health_retries", "2", "health", HealthOptions(retries=2)),
    ("health_start_period", "1h", "health", HealthOptions(start_period=3600.0)),
    ("health_start_interval", "3", "health", HealthOptions(start_interval=3.0)),
    ("no_healthcheck", True, "health", HealthOptions(none=True)),
    ("label", ["a=1", "b"], "labels", {"a": "1", "b": ""}),
    ("storage", "btrfs", "storage", "btrfs"),
    ("cgroup_driver", "systemd", "cgroup_driver", "systemd"),
    ("cgroup_parent", "/mine", "cgroup_parent", "/mine"),
    ("pull", "never", "pull", "never"),
    ("platform", "linux/arm64", "platform", "linux/arm64"),
    ("runtime", "native", "runtime", "native"),
    ("log_driver", "json-file", "log_driver", "json-file"),
    ("log_opt", ["max-size=1m"], "log_opts", {"max-size": "1m"}),
]


@pytest.mark.parametrize(("flag", "typed", "field", "expected"), KEPT)
def test_flag_is_kept_in_the_options(flag: str, typed: Any, field: str, expected: object) -> None:
    assert getattr(asked("x", **{flag: typed}), field) == expected


def test_env_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text('# a comment\n\nA=one = "two" # kept\nHOME\n  B=2\nLANG\r\nC=file\nD=a\x0cb\n')
    env = spec_of("x", env_file=[str(file)], env=["C=typed"])["process"]["env"]
    assert env[2:] == ['A=one = "two" # kept', "HOME=/root", "B=2", "C=typed", "D=a\x0cb"]


def test_label_file(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("# a comment\n\na=one = two\n  bare\nb=file\n")
    options = asked("x", label_file=[str(file)], label=["b=typed"])
    assert options.labels == {"a": "one = two", "bare": "", "b": "typed"}


@pytest.mark.parametrize("line", ["=x", "a\0=b"])
def test_a_label_file_with_nonsense(line: str, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text(f"good=1\n{line}\n")
    with pytest.raises(InvalidInput, match=f"{file}, line 2"):
        asked("x", label_file=[str(file)])


def test_every_flag_has_a_row() -> None:
    elsewhere = {
        "env_file": "above",
        "label_file": "below",
        "cidfile": "the command writes it",
        "detach_keys": "containers' tests: the console reads it, the container does not",
    }
    rows = {flag for given, _, _ in TABLE for flag in given} | {row[0] for row in KEPT} | elsewhere.keys()
    assert RunFlags.__annotations__.keys() == rows


def test_options_of_another_version_are_refused_by_name() -> None:
    from engine.errors import StateError

    with pytest.raises(StateError, match="teleport"):
        RunOptions.from_plain({"image": "i", "teleport": True})
