"""`engine container`, `image` and `system`, and how much things take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from core.tests.images import archives
from tests.e2e.box import Box, refused, until


def usage(box: Box) -> dict[str, dict[str, Any]]:
    rows = map(json.loads, box.done("system", "df", "--format", "json").stdout.splitlines())
    return {row["Type"]: row for row in rows}


def test_a_containers_life_in_the_group(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("container", "run", "-d", "--name", name, box.image, "sleep", "600")
        assert name in box.done("container", "ls", "--format", "{{.Names}}").stdout.splitlines()
        assert box.done("container", "exec", name, "echo", "inside").stdout == "inside\n"
        box.done("container", "stop", "-t", "0", name)
        assert json.loads(box.done("container", "inspect", name).stdout)[0]["State"]["Running"] is False
        refused(box("container", "inspect", box.image), "container")
        box.done("container", "rm", name)
        refused(box("container", "rm", name), name)


def test_disk_usage(own_box: Box) -> None:
    box = own_box
    assert (usage(box)["Images"]["TotalCount"], usage(box)["Images"]["Active"]) == (1, 0)
    assert usage(box)["Images"]["Reclaimable"] == f"{usage(box)['Images']['Size']} (100%)"
    with box.container(script="head -c 5000000 /dev/urandom >/big; echo written; exec sleep 600") as container:
        container.wait_for_log("written")
        found = usage(box)
        assert (found["Images"]["Active"], found["Images"]["Reclaimable"]) == (1, "0B (0%)")
        assert (found["Containers"]["TotalCount"], found["Containers"]["Active"]) == (1, 1)
        assert re.fullmatch(r"5(\.\d+)?MB", found["Containers"]["Size"]), found
        assert found["Containers"]["Reclaimable"] == "0B (0%)"
        shown = box.done("ps", "--size", "--format", "{{.Size}}").stdout
        assert re.fullmatch(r"5(\.\d+)?MB \(virtual \d+(\.\d+)?MB\)\n", shown), shown
        inspected = json.loads(box.done("inspect", "--size", container.name).stdout)[0]
        assert 5_000_000 <= inspected["SizeRw"] < inspected["SizeRootFs"]
        assert "SizeRw" not in container.inspect()
        box.done("stop", "-t", "0", container.name)
        assert usage(box)["Containers"]["Reclaimable"].endswith("(100%)")


def test_the_containers_made_last(own_box: Box) -> None:
    box = own_box
    for name in ("first", "second", "third"):
        box.done("create", "--name", name, box.image, "true")
    names = ("--format", "{{.Names}}")
    assert box.done("ps", *names).stdout == ""
    assert box.done("ps", "-n", "2", *names).stdout == "third\nsecond\n"
    assert box.done("ps", "--latest", *names).stdout == "third\n"
    assert box.done("ps", "--last", "9", *names).stdout == "third\nsecond\nfirst\n"
    refused(box("ps", "-n", "goat"), "goat")
    refused(box("inspect", "--type", "goat", "first"), "goat")
    refused(box("inspect", "--type", "image", "first"), "image")


def test_images_that_nobody_uses(own_box: Box) -> None:
    box = own_box
    with box.to_be_removed() as name:
        box.done("run", "--name", name, box.image, "touch", "/x")
        made = box.done("commit", name).stdout.strip()
    assert "Deleted" not in box.done("image", "prune", "--force").stdout.replace(f"Deleted: {made}\n", "")
    assert box.done("image", "ls", "--format", "{{.Repository}}").stdout == "busybox\n"
    assert "Untagged: busybox:latest" in box.done("image", "prune", "--all", "--force").stdout
    assert box.done("images", "-q").stdout == ""
    assert box("image", "prune").returncode != 0, "there is no terminal to ask on"


def test_images_of_one_name(own_box: Box) -> None:
    box = own_box
    for name in ("other:1", "other:2"):
        box.done("tag", box.image, name)
    names = ("--format", "{{.Repository}}:{{.Tag}}")
    assert set(box.done("images", "--all", "other", *names).stdout.split()) == {"other:1", "other:2"}
    assert box.done("images", "other:2", *names).stdout == "other:2\n"
    assert box.done("images", "oth", *names).stdout == ""


def test_an_image_under_two_names_in_an_index_is_named_once(
    own_box: Box, busybox_rootfs_tar: Path, tmp_path: Path
) -> None:
    image = archives.TestImage((busybox_rootfs_tar.read_bytes(),), cmd=("true",))
    files = archives.oci_files(image, "twice:1")
    index = json.loads(files["index.json"])
    index["manifests"] += archived_as(index["manifests"][0], "twice:2")
    archives.write_files(tmp_path / "image", {**files, "index.json": json.dumps(index).encode()})
    lines = own_box.done("load", tmp_path / "image").stdout.splitlines()
    assert sorted(lines) == ["Loaded image: twice:1", "Loaded image: twice:2"]
    assert len(own_box.done("load", "-q", tmp_path / "image").stdout.splitlines()) == 1


def archived_as(manifest: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [{**manifest, "annotations": {"io.containerd.image.name": name}}]


def test_processes_as_ps_shows_them(box: Box) -> None:
    with box.container(script="sleep 601 & exec sleep 600") as container:
        until(lambda: len(box.done("top", container.name, "-o", "pid,args").stdout.splitlines()) == 3, "two processes")
        heading, *lines = box.done("top", container.name, "-o", "pid,args").stdout.splitlines()
        assert heading.split() == ["PID", "COMMAND"]
        assert sorted(line.split(maxsplit=1)[1] for line in lines) == ["sleep 600", "sleep 601"]
        assert str(container.pid) in {
            line.split()[1] for line in box.done("top", container.name, "aux").stdout.splitlines()
        }
        commands = ["COMMAND", "sleep", "sleep"]
        assert sorted(box.done("top", container.name, "-o", "comm").stdout.split()) == commands
        for options in (["-o", "args,pid"], ["-C", "sleep", "-o", "args,pid"]):
            heading, *lines = box.done("top", container.name, *options).stdout.splitlines()
            assert heading.split() == ["COMMAND", "PID"]
            shown = {line.split()[1]: int(line.split()[2]) for line in lines}
            assert (len(lines), set(shown), shown["600"]) == (2, {"600", "601"}, container.pid), lines
        assert len(box.done("top", container.name, "-C", "sleep", "-f").stdout.splitlines()) == 3
        refused(box("top", container.name, "--bogus"), "--bogus")
