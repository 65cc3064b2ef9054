"""What `engine inspect` shows: Docker's names where it has them, each limit as asked and as the kernel holds it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from engine.containers import failing, listing
from engine.containers.engine import Engine
from engine.containers.failing import Failure
from engine.containers.listing import View
from engine.metadata.containers import Record
from engine.shim.protocol import Exit
from engine.spec.runtime import Spec

_NEVER = "0001-01-01T00:00:00Z"


def inspect(engine: Engine, wanted: str, *, size: bool = False) -> dict[str, Any]:
    """Return everything known of a container, as JSON-ready data; ``size``: what it takes, too. Raises `NotFound`."""
    view = listing.view(engine, wanted)
    record, options = view.record, view.options
    spec = _spec(engine, record.id)
    return {
        "Id": record.id,
        "Name": f"/{record.name}",
        "Created": moment(record.created),
        "Path": spec["process"]["args"][0] if spec else "",
        "Args": spec["process"]["args"][1:] if spec else [],
        "State": {**_state(view, failing.read(engine.layout, record.id)), **_health(engine, view)},
        "Image": record.image,
        "RestartCount": record.restarts,
        "Driver": record.storage,
        "Runtime": record.runtime,
        "CgroupDriver": record.cgroup,
        "LogDriver": record.log,
        "LogPath": str(engine.layout.container(record.id)),
        "Config": {
            "Hostname": spec.get("hostname", ""),
            "Image": record.image_name,
            "Env": spec["process"]["env"] if spec else [],
            "WorkingDir": spec["process"]["cwd"] if spec else "",
            "User": options.user,
            "Tty": options.tty,
            "OpenStdin": options.interactive,
            "Labels": record.labels,
            **_healthcheck(record),
        },
        "HostConfig": {
            **record.options,
            "RestartPolicy": {"Name": options.restart.name, "MaximumRetryCount": options.restart.maximum},
        },
        "Mounts": _mounts(spec),
        "Limits": _limits(spec, record.applied),
        "Spec": spec,
        **(_size(engine, record) if size else {}),
    }


def _size(engine: Engine, record: Record) -> dict[str, int]:
    from engine.containers.disk_usage import size_of

    found = size_of(engine, record)
    return {"SizeRw": found.written, "SizeRootFs": found.whole}


def moment(nanoseconds: int) -> str:
    """Return a time in RFC 3339 with nanoseconds, as Docker writes them; its zero for "never"."""
    if not nanoseconds:
        return _NEVER
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _spec(engine: Engine, container_id: str) -> Spec:
    try:
        spec: Spec = json.loads((engine.layout.container(container_id) / "config.json").read_bytes())
    except FileNotFoundError:  # it is being created or removed at this moment
        return {}
    return spec


def command_of(engine: Engine, container_id: str) -> list[str]:
    """Return a container's command with its arguments; empty while it is being created or removed."""
    spec = _spec(engine, container_id)
    return spec["process"]["args"] if spec else []


def _state(view: View, failure: Failure | None) -> dict[str, Any]:
    now, ended = view.status, view.status.exit
    if ended is None and failure is not None:
        ended = Exit(failure.code, reason=failure.what)
    over = ended is not None and not now.has_task
    return {
        "Status": now.state,
        "Running": now.running,
        "Paused": now.state == "paused",
        "Restarting": now.state == "restarting",
        "OOMKilled": over and ended is not None and ended.oom,
        "Pid": now.pid,
        "ShimPid": now.shim,
        "ExitCode": ended.code if over and ended is not None else 0,
        "Error": ended.reason if over and ended is not None else "",
        "StartedAt": moment(view.record.started),
        "FinishedAt": moment(ended.finished if ended is not None else view.record.finished),
    }


def _healthcheck(record: Record) -> dict[str, Any]:
    if record.health is None:
        return {}
    from engine.spec.health import Healthcheck

    return {"Healthcheck": Healthcheck.from_plain(record.health).shown()}


def _health(engine: Engine, view: View) -> dict[str, Any]:
    if view.record.health is None:
        return {}
    from engine.containers import health

    found = health.of(engine.layout, view.record, view.status)
    if found is None:
        return {}
    results = [
        {"Start": moment(one.start), "End": moment(one.end), "ExitCode": one.code, "Output": one.output}
        for one in found.results
    ]
    return {"Health": {"Status": found.status, "FailingStreak": found.streak, "Log": results}}


def _mounts(spec: Spec) -> list[dict[str, Any]]:
    return [
        {
            "Type": mount.get("type", ""),
            "Source": mount.get("source", ""),
            "Destination": mount["destination"],
            "Options": mount.get("options", []),
            "RW": not {"ro", "rro"} & set(mount.get("options", [])),
        }
        for mount in spec.get("mounts", [])
    ]


def _limits(spec: Spec, applied: dict[str, str]) -> list[dict[str, Any]]:
    """Return each limit by its OCI name: what was asked, and the text that the kernel held right after the start."""
    asked = dict(_flat(spec.get("linux", {}).get("resources", {}), ""))
    names = sorted({*asked, *applied})
    return [{"Name": name, "Asked": asked.get(name), "Applied": applied.get(name)} for name in names]


def _flat(resources: Any, prefix: str) -> list[tuple[str, Any]]:
    if not isinstance(resources, dict):
        return [(prefix, resources)]
    return [pair for key, value in resources.items() for pair in _flat(value, f"{prefix}.{key}" if prefix else key)]
