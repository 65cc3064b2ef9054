"""Running a test's body in a child of its own, so that namespaces and limits end with it; groups to try things on."""

from __future__ import annotations

import json
import os
import secrets
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.linux import cgroups, mounts, namespaces

InChild = Callable[..., Any]


@pytest.fixture
def in_child() -> InChild:
    """Run a function in a forked child with a single thread; return what it returns (JSON), or fail with its error."""

    def run(body: Callable[[], Any]) -> Any:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                answer = json.dumps({"value": body()})
            except BaseException:  # noqa: BLE001 - whatever it was, the parent fails with it
                answer = json.dumps({"error": traceback.format_exc()})
            os.write(writing, answer.encode())
            os._exit(0)
        os.close(writing)
        with open(reading, encoding="utf-8") as file:
            answer = file.read()
        os.waitpid(pid, 0)
        result = json.loads(answer)
        assert "error" not in result, result["error"]
        return result["value"]

    return run


@pytest.fixture
def in_mount_namespace(in_child: InChild) -> InChild:
    """Do the same in a mount namespace of its own."""

    def run(body: Callable[[], Any]) -> Any:
        def inside() -> Any:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            mounts.make_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)
            return body()

        return in_child(inside)

    return run


@pytest.fixture
def make_group() -> Iterator[Callable[[tuple[str, ...], bool], cgroups.Group]]:
    """Make groups with a random name in hierarchies that are mounted here (v1 controllers, v2 or not); end them all."""
    made: list[cgroups.Group] = []
    hierarchies = cgroups.discover()

    def make(controllers: tuple[str, ...], v2: bool) -> cgroups.Group:
        missing = [name for name in controllers if name not in hierarchies.v1]
        if missing or (v2 and hierarchies.v2 is None):
            pytest.skip(f"needs cgroup hierarchies that are not mounted here: {missing or 'v2'}")
        name = f"engine-test-linux-{secrets.token_hex(4)}"
        v1 = {key: f"{hierarchies.v1[key].directory}/{name}" for key in controllers}
        group = cgroups.Group(v1, f"{hierarchies.v2.directory}/{name}" if v2 and hierarchies.v2 else "")
        made.append(group)
        for directory in group.directories:
            os.mkdir(directory)
        return group

    try:
        yield make
    finally:
        for group in made:
            cgroups.kill(group, 10)
            cgroups.remove(group, 5)
