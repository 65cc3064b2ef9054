"""The driver half is pure: a specification goes in, steps come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from engine.actions.base import Phase, Step
from engine.actions.mounts import AttachMount, MountFilesystem, OpenBind, attribute_bits
from engine.contracts.namespace import NamespacePlan
from engine.contracts.runtime import RuntimeConfig
from engine.errors import InvalidInput, Unsupported
from engine.linux import mounts as kernel
from engine.linux import rlimits
from engine.linux.mountinfo import MountEntry
from engine.spec.runtime import SpecMount
from engine.testing.runtime_support import make_spec, new_namespaces, with_linux, with_process
from engine_runtime_native import devices, filters, hierarchies, limits, mounts, sysctls
from engine_runtime_native.driver import NativeRuntime
from engine_runtime_native.stage.cgroups import MountCgroups

OWN = frozenset({"mount", "pid", "net", "ipc", "uts"})
AROUND = mounts.Surroundings(
    False, OWN, frozenset(), True, None, hierarchies.Hierarchies((("", "/sys/fs/cgroup", "/", ""),))
)


def of(destination: str, fstype: str = "", source: str = "", *options: str) -> SpecMount:
    return {"destination": destination, "type": fstype, "source": source, "options": list(options)}


def translated(mount: SpecMount, around: mounts.Surroundings = AROUND) -> list[Step]:
    return mounts.translate([mount], around)


def test_filesystem() -> None:
    (step,) = translated(of("/tmp/../data", "tmpfs", "", "nosuid", "noexec", "size=1m", "mode=700", "defaults"))
    assert step == Step(
        Phase.CHILD_BEFORE_PIVOT,
        MountFilesystem("tmpfs", "/data", "tmpfs", (("size", "1m"), ("mode", "700")), ("nosuid", "noexec")),
        "native",
    )


@pytest.mark.parametrize(
    ("destination", "strict"), [("/proc", True), ("/dev/shm", True), ("/sys/fs", True), ("/devices", False)]
)
def test_places_of_the_engines_own_filesystems_are_strict(destination: str, *, strict: bool) -> None:
    (step,) = translated(of(destination, "tmpfs"))
    assert step.action._asdict()["strict"] is strict


def test_bind_is_opened_by_the_shim_and_attached_by_the_child() -> None:
    opened, attached = translated(of("/vol", "bind", "/srv", "rbind", "ro", "rnosuid", "rslave"))
    assert opened == Step(
        Phase.PARENT_BEFORE, OpenBind("/srv", "mount 0", True, ("ro",), ("nosuid",), "slave"), "native"
    )
    assert attached == Step(Phase.CHILD_BEFORE_PIVOT, AttachMount("mount 0", "/vol"), "native")


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        (of("/", "tmpfs"), "root"),
        (of("data", "tmpfs"), "absolute"),
        (of("/data", "", ""), "type"),
        (of("/data", "bind", "relative", "bind"), "absolute"),
        (of("/data", "bind", "/srv", "bind", "speed=fast"), "speed"),
        (of("/proc/sys", "bind", "/srv", "bind"), "/proc"),
    ],
)
def test_mount_that_cannot_be(mount: SpecMount, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        translated(mount)


@pytest.mark.parametrize("option", ["rshared", "shared", "tmpcopyup"])
def test_option_that_is_not_offered(option: str) -> None:
    with pytest.raises(Unsupported, match=option):
        translated(of("/data", "bind", "/srv", "bind", option))


def test_host_filesystems_are_bound_where_a_user_namespace_may_not_mount_them() -> None:
    around = AROUND._replace(user=True, owned=frozenset({"mount", "user"}))
    for fstype in ("proc", "sysfs"):
        opened, attached = translated(of(f"/{fstype}", fstype, fstype, "nosuid", "ro"), around)
        assert isinstance(opened.action, OpenBind)
        assert opened.action.below == ("nosuid", "ro")
        assert isinstance(attached.action, AttachMount)
    assert isinstance(translated(of("/proc", "proc"))[0].action, MountFilesystem)


def test_terminal_group_is_left_out_where_it_does_not_exist() -> None:
    (step,) = translated(of("/dev/pts", "devpts", "", "gid=5", "mode=620"), AROUND._replace(tty_gid=False))
    assert isinstance(step.action, MountFilesystem)
    assert step.action.options == (("mode", "620"),)


def test_attribute_words() -> None:
    assert attribute_bits(["ro", "nosuid", "rw"]) == (kernel.MOUNT_ATTR_NOSUID, kernel.MOUNT_ATTR_RDONLY)
    assert attribute_bits(["noatime"]) == (kernel.MOUNT_ATTR_NOATIME, kernel.MOUNT_ATTR_ATIME_MASK)
    assert attribute_bits(["noatime", "relatime"]) == (0, kernel.MOUNT_ATTR_ATIME_MASK)


def entry(mount_point: str, fstype: str, *super_options: str, root: str = "/") -> MountEntry:
    return MountEntry(1, 0, "0:1", root, mount_point, (), (), fstype, "cgroup", super_options)


def test_hierarchies_of_a_unified_machine() -> None:
    found = hierarchies.of([entry("/sys/fs/cgroup", "cgroup2", "rw")], [""])
    assert found == hierarchies.Hierarchies((("", "/sys/fs/cgroup", "/", ""),), ())


def test_hierarchies_of_a_hybrid_machine() -> None:
    mounted = [
        entry("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw", "cpu", "cpuacct"),
        entry("/sys/fs/cgroup/systemd", "cgroup", "rw", "xattr", "name=systemd", root="/outer"),
        entry("/sys/fs/cgroup/unified", "cgroup2", "rw"),
    ]
    found = hierarchies.of(mounted, ["cpu,cpuacct", "hugetlb", "name=systemd", ""])
    assert found.rows == (
        ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/", "cpu,cpuacct"),
        ("systemd", "/sys/fs/cgroup/systemd", "/outer", "name=systemd"),
        ("unified", "/sys/fs/cgroup/unified", "/", ""),
    )
    assert found.links == (("cpu", "cpu,cpuacct"), ("cpuacct", "cpu,cpuacct"))


def test_cgroup_mount_takes_what_is_mounted() -> None:
    (step,) = translated(of("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid"))
    assert step.action == MountCgroups("/sys/fs/cgroup", AROUND.hierarchies.rows, (), ("ro", "nosuid"))


@pytest.mark.parametrize(
    "name",
    ["net.core.somaxconn", "net/ipv4/conf/eth0.1/forwarding", "kernel.shmmax", "kernel.sem", "fs.mqueue.msg_max"],
)
def test_parameter_of_a_namespace(name: str) -> None:
    (write,) = sysctls.translate({name: "1"}, OWN)
    assert (write.name, write.value) == (name, "1")


@pytest.mark.parametrize(
    ("name", "kinds", "words"),
    [
        ("vm.overcommit_memory", OWN, "whole machine"),
        ("kernel.core_pattern", OWN, "whole machine"),
        ("kernel.shmmaxx", OWN, "whole machine"),
        ("net.core.somaxconn", OWN - {"net"}, "net namespace"),
        ("kernel.shmmax", OWN - {"ipc"}, "ipc namespace"),
        ("kernel.hostname", OWN, "kernel.hostname"),
        ("net/../kernel/core_pattern", OWN, "no name"),
        ("/net/core/somaxconn", OWN, "no name"),
        ("", OWN, "no name"),
    ],
)
def test_parameter_that_is_refused(name: str, kinds: frozenset[str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        sysctls.translate({name: "1"}, kinds)


def test_limit_above_the_engines_own_is_refused_unless_it_may_raise_it() -> None:
    _soft, hard = rlimits.get_rlimit("RLIMIT_NOFILE")
    assert limits.checked([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": hard}], user_namespace=True) == (
        ("RLIMIT_NOFILE", 1, hard),
    )
    with pytest.raises(Unsupported, match=str(hard)):
        limits.checked([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": hard + 1}], user_namespace=True)


def test_devices_are_left_alone_when_the_hosts_dev_is_bound() -> None:
    spec = make_spec("true")
    assert devices.translate(spec, bound=False)
    spec["mounts"] = [of("/dev", "bind", "/dev", "rbind")]
    assert devices.translate(spec, bound=False) == []


@pytest.fixture
def runtime(tmp_path: Path) -> NativeRuntime:
    return NativeRuntime(RuntimeConfig(tmp_path / "cache", {}))


def test_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="speed"):
        NativeRuntime(RuntimeConfig(tmp_path, {"speed": "fast"}))


@pytest.mark.parametrize("plan", [NamespacePlan(), NamespacePlan(joins=(("mount", "/proc/1/ns/mnt"),))])
def test_mount_namespace_must_be_new(runtime: NativeRuntime, plan: NamespacePlan) -> None:
    with pytest.raises(Unsupported, match="mount namespace"):
        runtime.plan(make_spec("true"), plan)


@pytest.mark.parametrize(
    ("key", "value"), [("apparmorProfile", "docker-default"), ("selinuxLabel", "system_u:object_r:x:s0")]
)
def test_label_is_refused(runtime: NativeRuntime, key: str, value: str) -> None:
    with pytest.raises(Unsupported, match=key):
        runtime.plan(with_process(make_spec("true"), **{key: value}), new_namespaces())


def test_propagation_of_the_root(runtime: NativeRuntime) -> None:
    runtime.plan(with_linux(make_spec("true"), rootfsPropagation="rslave"), new_namespaces())
    with pytest.raises(Unsupported, match="rshared"):
        runtime.plan(with_linux(make_spec("true"), rootfsPropagation="rshared"), new_namespaces())


def test_filter_is_loaded_last_only_with_no_new_privileges(runtime: NativeRuntime) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW"}
    for privileges, expected in ((True, ["FreshProcess", "LoadSeccomp"]), (False, ["LoadSeccomp", "BecomeUser"])):
        spec = with_linux(with_process(make_spec("true"), noNewPrivileges=privileges), seccomp=profile)
        names = [type(step.action).__name__ for step in runtime.plan(spec, new_namespaces())]
        place = names.index(expected[0])
        assert names[place : place + 2] == expected


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "NOTIFY"),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]},
            "NOTIFY",
        ),
        ({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}, "listenerPath"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NONE"]}, "FLAG_NONE"),
    ],
)
def test_filter_that_cannot_be_is_refused(tmp_path: Path, profile: dict[str, Any], words: str) -> None:
    with pytest.raises((Unsupported, InvalidInput), match=words):
        filters.step(cast("Any", profile), tmp_path)


@pytest.mark.parametrize("entry", ["NAME", "=value", ""])
def test_environment_that_is_none_is_refused(runtime: NativeRuntime, entry: str) -> None:
    with pytest.raises(InvalidInput, match="environment"):
        runtime.plan(with_process(make_spec("true"), env=[entry]), new_namespaces())


def test_compiled_filter_is_kept_and_a_broken_one_is_made_anew(tmp_path: Path) -> None:
    profile = cast(
        "Any", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL"}]}
    )
    first = filters.program(profile, tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    assert filters.program(profile, tmp_path) == first
    file.write_bytes(content[:-8])
    assert filters.program(profile, tmp_path) == first
    assert file.read_bytes() == content


def test_cached_filter_is_what_is_used(tmp_path: Path) -> None:
    profile = cast("Any", {"defaultAction": "SCMP_ACT_ALLOW"})
    filters.program(profile, tmp_path)
    (file,) = tmp_path.iterdir()
    before = file.stat().st_ino
    filters.program(profile, tmp_path)
    assert file.stat().st_ino == before


def test_other_profile_has_another_filter(tmp_path: Path) -> None:
    filters.program(cast("Any", {"defaultAction": "SCMP_ACT_ALLOW"}), tmp_path)
    filters.program(cast("Any", {"defaultAction": "SCMP_ACT_LOG"}), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
