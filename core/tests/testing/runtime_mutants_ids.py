"""Broken runtimes that give files, terminals and users the wrong ids."""

from __future__ import annotations

import os
from typing import Any

from core.tests.testing.runtime_mutants import Mutant, creating, patching, setting

_MAPPED = {"idmap", "ridmap"}


def _changing(change: Any) -> Mutant:
    return setting("mounts", value=lambda found: [change(mount) for mount in found])


def _mapped(mount: dict[str, Any]) -> dict[str, Any]:
    return {**mount, "options": [*mount["options"], "ridmap"]} if mount["type"] == "bind" else mount


def _not_mapped(mount: dict[str, Any]) -> dict[str, Any]:
    return {**mount, "options": [word for word in mount["options"] if word not in _MAPPED]}


def _without_own_maps(mount: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mount.items() if key not in {"uidMappings", "gidMappings"}}


MUTANTS: dict[str, Mutant] = {
    "test_files_of_the_hosts_root_are_nobodys": _changing(_mapped),
    "test_mapped_bind_mount": _changing(_not_mapped),
    "test_bind_mount_with_a_map_of_its_own": _changing(_without_own_maps),
    "test_mapped_bind_mount_needs_a_map": _changing(_not_mapped),
    "test_users_of_the_image_in_a_user_namespace": creating(
        lambda task, streams, slots: (
            task._replace(process={**task.process, "user": {"uid": 1000, "gid": 1001}}),
            streams,
            slots,
        )
    ),
    "test_terminal_belongs_to_the_user_of_a_user_namespace": patching((os, "fchown", lambda _fd, _uid, _gid: None)),
}
"""Check to mutant."""
