"""The health of a container, as its shim has recorded it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.containers.layout import Layout
from engine.containers.status import Status
from engine.metadata.containers import Record
from engine.shim import verdict
from engine.shim.verdict import Health


def of(layout: Layout, record: Record, status: Status) -> Health | None:
    """Return the health, or the last one of a container that has ended; None without a check, or before it started."""
    if record.health is None:
        return None
    if status.running:
        return _read(layout.container_state(record.id)) or Health()
    return _read(layout.container(record.id))


def words(layout: Layout, record: Record, status: Status) -> str:
    """Return what `engine ps` has behind the time that a container is up: "healthy", "health: starting", or ""."""
    health = of(layout, record, status)
    if health is None:
        return ""
    return f"health: {health.status}" if health.status == verdict.STARTING else health.status


def settings_of(check: Mapping[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Return the shim's settings (`engine.shim.verdict.Settings`) as plain data, of a record's check."""
    names = set(verdict.Settings._fields) & check.keys()
    return {"request": request, **{name: check[name] for name in names}}


def _read(directory: Path) -> Health | None:
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return verdict.read(fd)
    finally:
        os.close(fd)
