"""Checks of a container in a user namespace: whose its mounts and its terminal are, and who its users are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from engine.contracts.runtime import Capability
from engine.errors import EngineError
from engine.spec.runtime import SpecMount
from engine.testing.runtime_support import HOST_IDS, Box, give_away, make_spec, new_namespaces, with_process
from engine.testing.shim import Output

_LOOK = "cat /vol/secret; stat -c %u:%g /vol/secret; echo > /vol/new"
NOBODY = "65534:65534\n"
"""How an owner that has no mapping shows (user_namespaces(7))."""


def run(box: Box, script: str, *mounts: SpecMount, mapped: bool = True, **process: Any) -> Output:
    """Run a shell script in a container, ``mapped`` in a user namespace, and with these mounts more."""
    box.needs(Capability.USER_NAMESPACE)
    give_away(box.tree)
    spec = with_process(make_spec("sh", "-c", script), **process)
    spec["mounts"] += mounts
    if mapped:
        spec["linux"]["namespaces"].append({"type": "user"})
    return box.run(spec, namespaces=new_namespaces(user=mapped))


def volume(box: Box) -> Path:
    """Make a directory with a file that only the host's root may read."""
    source = box.bundle / "volume"
    source.mkdir(exist_ok=True)
    (source / "secret").write_text("secret\n")
    (source / "secret").chmod(0o600)
    return source


def bind(source: Path, options: Sequence[str], **more: Any) -> SpecMount:
    """Return a bind mount at /vol."""
    mount = {"destination": "/vol", "type": "bind", "source": str(source), "options": list(options), **more}
    return cast("SpecMount", mount)


class IdsChecks:
    """`engine.contracts.runtime.Capability.USER_NAMESPACE`, and the runtime-spec's mapped mounts (config.md)."""

    def test_files_of_the_hosts_root_are_nobodys(self, box: Box) -> None:
        """A bind mount keeps the host's ids: the container's root cannot read what is the host's root's."""
        output = run(box, _LOOK, bind(volume(box), ["rbind"]))
        assert output.stdout == NOBODY
        assert not (box.bundle / "volume/new").exists()

    def test_mapped_bind_mount(self, box: Box) -> None:
        """With idmap or ridmap the files are the container's root's inside, and the host's root's outside."""
        for binding, mapping in (("rbind", "ridmap"), ("bind", "idmap")):
            source = volume(box)
            assert run(box, _LOOK, bind(source, [binding, mapping])).stdout == "secret\n0:0\n", mapping
            made = (source / "new").stat()
            assert (made.st_uid, made.st_gid) == (0, 0)

    def test_bind_mount_with_a_map_of_its_own(self, box: Box) -> None:
        """A mount's own mappings hold for its files, in the place of the container's."""
        rows = [{"containerID": 0, "hostID": HOST_IDS + 7, "size": 10}]
        mount = bind(volume(box), ["rbind", "ridmap"], uidMappings=rows, gidMappings=rows)
        assert run(box, "stat -c %u:%g /vol/secret", mount).stdout == "7:7\n"

    def test_mapped_bind_mount_needs_a_map(self, box: Box) -> None:
        """Where the container has the host's ids there is nothing to map by, which is said before anything starts."""
        with pytest.raises(EngineError, match="/vol"):
            run(box, "true", bind(volume(box), ["rbind", "ridmap"]), mapped=False)

    def test_users_of_the_image_in_a_user_namespace(self, box: Box) -> None:
        """Users and all their groups are looked up in the image, and are those ids inside."""
        output = run(box, "id -u; id -g; id -G; touch /tmp/mine", user={"username": "web"})
        assert output.stdout.splitlines() == ["1000", "1001", "1001 2000"], output.stderr

    def test_terminal_belongs_to_the_user_of_a_user_namespace(self, box: Box) -> None:
        """The terminal belongs to the user, with the id that it has inside."""
        box.needs(Capability.TERMINAL)
        output = run(box, "stat -c %u /dev/pts/0", terminal=True, user={"uid": 1000, "gid": 1000})
        assert output.stdout == "1000\r\n"
