"""Say what is to become of a container when it ends, from the command's side: see `engine.shim.desired`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from engine.containers.layout import Layout
from engine.shim import desired
from engine.spec.restart_policy import RestartPolicy

_T = TypeVar("_T")


def begin(layout: Layout, container_id: str, policy: RestartPolicy) -> None:
    """Want the container to run. Raises `EngineError` on a full disk."""
    _in_directory(layout, container_id, lambda fd: desired.begin(fd, policy))


def change(layout: Layout, container_id: str, policy: RestartPolicy) -> None:
    """Change the policy of a container that is wanted."""
    _in_directory(layout, container_id, lambda fd: desired.change(fd, policy))


def withdraw(layout: Layout, container_id: str) -> None:
    """Want the container no more; call it before anything of it is asked to end. Nothing for one that is gone."""
    _in_directory(layout, container_id, desired.withdraw)


def policy(layout: Layout, container_id: str) -> RestartPolicy | None:
    """Return the policy of a container that is wanted, None for one that is not."""
    return _in_directory(layout, container_id, desired.read)


def _in_directory(layout: Layout, container_id: str, act: Callable[[int], _T]) -> _T | None:
    try:
        fd = os.open(layout.container(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return act(fd)
    finally:
        os.close(fd)
