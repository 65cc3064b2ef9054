"""`engine container`, `image` and `system`, and how much things take."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.e2e.box import Box, refused


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
