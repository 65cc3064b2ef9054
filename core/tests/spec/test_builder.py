"""The specification as a whole, and what comes from the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.tests.spec.facts_for_tests import FACTS, FILES, ID, IMAGE, asked, spec_of
from engine.contracts.namespace import Host, Join, New
from engine.errors import InvalidInput
from engine.spec import builder, command
from engine.spec.image import RunConfig

GOLDEN = Path(__file__).parent / "golden.json"


def test_the_whole_specification() -> None:
    """A change of any default shows here, in a diff that can be reviewed."""
    assert json.loads(json.dumps(spec_of())) == json.loads(GOLDEN.read_text())


def test_the_default_filter_allows_no_more_for_fewer_capabilities() -> None:
    plain = spec_of("x", security_opt=[])["linux"]["seccomp"]
    more = spec_of("x", security_opt=[], cap_add=["SYS_ADMIN"])["linux"]["seccomp"]
    assert plain["defaultAction"] in {"SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"}
    allowed, also = ({name for rule in one["syscalls"] for name in rule["names"]} for one in (plain, more))
    assert "read" in allowed
    assert "mount" in also - allowed


@pytest.mark.parametrize(
    ("image", "given", "typed", "args"),
    [
        (RunConfig(entrypoint=("e",), cmd=("c",)), {}, [], ["e", "c"]),
        (RunConfig(entrypoint=("e",), cmd=("c",)), {}, ["t"], ["e", "t"]),
        (RunConfig(cmd=("c", "d")), {}, [], ["c", "d"]),
        (RunConfig(cmd=("c", "d")), {}, ["t"], ["t"]),
        (RunConfig(entrypoint=("e",), cmd=("c",)), {"entrypoint": "n"}, [], ["n"]),
        (RunConfig(entrypoint=("e",), cmd=("c",)), {"entrypoint": "a b"}, ["t"], ["a b", "t"]),
        (RunConfig(entrypoint=("e",), cmd=("c",)), {"entrypoint": ""}, ["t"], ["t"]),
    ],
)
def test_entrypoint_and_command(image: RunConfig, given: dict[str, Any], typed: list[str], args: list[str]) -> None:
    assert spec_of(*typed, image=image, **given)["process"]["args"] == args


@pytest.mark.parametrize("given", [{}, {"entrypoint": ""}])
def test_nothing_to_run(given: dict[str, Any]) -> None:
    image = RunConfig(cmd=("c",)) if given else RunConfig()
    with pytest.raises(InvalidInput) as raised:
        spec_of(image=image, **given)
    assert "engine run img sh" in raised.value.fix


def test_what_the_image_says() -> None:
    process = spec_of()["process"]
    assert process["user"]["username"] == "www-data"
    assert process["cwd"] == "/srv"
    options = asked(label=["from=user"])
    assert command.labels_of(options, IMAGE) == {"from": "user", "kept": "yes"}
    assert command.stop_signal_of(options, IMAGE) == 3
    assert command.stop_signal_of(options, RunConfig()) == 15
    assert command.directory_of(options, RunConfig(working_dir="srv")) == "/srv"


@pytest.mark.parametrize("image", [RunConfig(user="a:b:c", cmd=("c",)), RunConfig(stop_signal="SIGX", cmd=("c",))])
def test_nonsense_in_the_image_is_refused(image: RunConfig) -> None:
    with pytest.raises(InvalidInput):
        spec_of(image=image)


def test_choices_and_namespaces_say_the_same() -> None:
    options = asked("x", network="container:db", pid="host", namespace=["ipc=/proc/1/ns/ipc"], hostname="web")
    joins = {"net": "/proc/9/ns/net"}
    choices = builder.choices_of(options, FACTS, ID, joins)
    assert choices["net"] == Join("/proc/9/ns/net")
    assert choices["ipc"] == Join("/proc/1/ns/ipc")
    assert choices["uts"] == New(hostname="web")
    assert choices["pid"] == choices["user"] == choices["time"] == Host()
    spec = builder.build(options, IMAGE, id=ID, rootfs_path="r", facts=FACTS, joins=joins)
    named = {one["type"]: one.get("path") for one in spec["linux"]["namespaces"]}
    assert named == {
        "mount": None,
        "uts": None,
        "ipc": "/proc/1/ns/ipc",
        "network": "/proc/9/ns/net",
        "cgroup": None,
    }


def test_parents_are_mounted_before_what_is_inside() -> None:
    spec = spec_of("x", volume=["/s:/a/b/c", "/s:/a", "/s:/etc", "/s:/a/b"])
    targets = [one["destination"] for one in spec["mounts"]]
    assert targets.index("/a") < targets.index("/a/b") < targets.index("/a/b/c")
    assert targets.index("/etc") < targets.index("/etc/hosts")


def test_a_mount_takes_the_place_of_ours() -> None:
    spec = spec_of("x", volume=["/dev:/dev", "/mine:/etc/hosts"])
    targets = [one["destination"] for one in spec["mounts"]]
    assert len(targets) == len(set(targets))
    assert not [target for target in targets if target.startswith("/dev/")]
    assert next(one for one in spec["mounts"] if one["destination"] == "/etc/hosts")["source"] == "/mine"


def test_what_is_hidden_stays_hidden() -> None:
    options = asked("x", privileged=True)
    spec = builder.build(options, IMAGE, id=ID, rootfs_path="r", facts=FACTS, files=FILES, hidden=["/var/lib/engine"])
    assert spec["linux"]["maskedPaths"] == ["/var/lib/engine"]


def test_swap_is_left_alone_where_nothing_can_limit_it() -> None:
    spec = spec_of("x", memory="64m", facts=FACTS._replace(swap=False))
    assert spec["linux"]["resources"]["memory"] == {"limit": 64 << 20}
