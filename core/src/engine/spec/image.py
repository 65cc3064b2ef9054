"""The configuration of an image: what its files are, and how they are meant to be run (image-spec: config.md).

Read by the command's process when an image is loaded or a container made; standard library only.
Parsing raises `engine.errors.ImageError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import ImageError
from engine.spec.descriptor import MAX_LAYERS, Platform, read_platform
from engine.spec.document import REFUSED, Fields, is_digest, read_object, write_json
from engine.tuples import NamedTuple

MAX_HISTORY = 2000


class RunConfig(NamedTuple):
    """The ``config`` object: defaults for a container. None means "not said", which differs from an empty list."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}  # never changed
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()
    healthcheck: Mapping[str, Any] | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return the object with the image-spec's (and Docker's) names, fields that are not said left out."""
        named: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": list(self.env),
            "Entrypoint": None if self.entrypoint is None else list(self.entrypoint),
            "Cmd": None if self.cmd is None else list(self.cmd),
            "Volumes": {volume: {} for volume in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Shell": None if self.shell is None else list(self.shell),
            "OnBuild": list(self.on_build),
            "Healthcheck": None if self.healthcheck is None else dict(self.healthcheck),
        }
        said_when_empty = ("Entrypoint", "Cmd", "Shell")
        return {key: value for key, value in named.items() if value or (key in said_when_empty and value is not None)}


class History(NamedTuple):
    """How one layer came about. ``empty_layer`` marks a step that changed the configuration only."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Return the JSON object of the image-spec, empty fields left out."""
        return {key: value for key, value in self._asdict().items() if value}


class ImageConfig(NamedTuple):
    """The whole document. ``created`` is RFC 3339 or ""; ``diff_ids`` name the uncompressed layers, lowest first."""

    platform: Platform
    config: RunConfig = RunConfig()
    diff_ids: tuple[str, ...] = ()
    created: str = ""
    author: str = ""
    history: tuple[History, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the document's canonical serialisation; its SHA-256 is the image's ID."""
        plain: dict[str, Any] = {"created": self.created, "author": self.author, **self.platform._asdict()}
        plain = {key: value for key, value in plain.items() if value}
        plain["config"] = self.config.to_plain()
        plain["rootfs"] = {"type": "layers", "diff_ids": list(self.diff_ids)}
        plain["history"] = [step.to_plain() for step in self.history]
        return write_json(plain)


def read_config(data: bytes, what: str) -> ImageConfig:
    """Return the configuration in ``data``; ``what`` names it in errors.

    Raises `ImageError` where a field has the wrong type, a diff ID is no digest, or no platform is given.
    """
    fields = read_object(data, what)
    platform = read_platform(fields)
    if not platform.os or not platform.architecture:
        raise ImageError(f"{what} does not say for which os and architecture it is", fix=REFUSED)
    history = tuple(_read_history(one) for one in fields.each("history", MAX_HISTORY))
    return ImageConfig(
        platform,
        _read_run(fields.fields("config")),
        _read_diff_ids(fields.fields("rootfs")),
        fields.text("created", ""),
        fields.text("author", ""),
        history,
    )


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the chain ID of each layer on those below it (config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else ""
        chain.append("sha256:" + hashlib.sha256(text.encode()).hexdigest() if text else diff_id)
    return tuple(chain)


def _read_diff_ids(fields: Fields) -> tuple[str, ...]:
    diff_ids = fields.texts("diff_ids") or ()
    if len(diff_ids) > MAX_LAYERS:
        raise fields.broken(f"lists more than {MAX_LAYERS} layers")
    for one in diff_ids:
        if not is_digest(one):
            raise fields.broken("has a diff ID that is not a sha256 digest")
    return diff_ids


def _read_run(fields: Fields) -> RunConfig:
    healthcheck = fields.fields("Healthcheck").data
    return RunConfig(
        user=fields.text("User", ""),
        env=fields.texts("Env") or (),
        entrypoint=fields.texts("Entrypoint"),
        cmd=fields.texts("Cmd"),
        working_dir=fields.text("WorkingDir", ""),
        exposed_ports=tuple(fields.fields("ExposedPorts").data),
        volumes=tuple(fields.fields("Volumes").data),
        labels=fields.mapping("Labels"),
        stop_signal=fields.text("StopSignal", ""),
        shell=fields.texts("Shell"),
        on_build=fields.texts("OnBuild") or (),
        healthcheck=healthcheck or None,
    )


def _read_history(fields: Fields) -> History:
    return History(
        fields.text("created", ""),
        fields.text("created_by", ""),
        fields.text("author", ""),
        fields.text("comment", ""),
        fields.flag("empty_layer"),
    )
