"""`engine info` and `engine version`."""

import os
import platform
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from engine import __version__
from engine.cli.output import JSON, render, write, write_json
from engine.cli.places import open_engine

app = typer.Typer()

_Form = Annotated[str, typer.Option("--format", "-f", metavar="FORM", help="text, json, or a template as {{.Root}}")]
_TEXT = "text"


@app.command("version")
def version(form: _Form = _TEXT) -> None:
    """Show the versions of the engine, of its contracts, and of what it stands on.

    \b
    engine version --format '{{.Version}}'
    """
    from engine.contracts.common import CONTRACT_VERSION
    from engine.spec.defaults import OCI_VERSION

    machine = os.uname()
    _show(
        {
            "Version": __version__,
            "Contracts": CONTRACT_VERSION,
            "RuntimeSpec": OCI_VERSION,
            "Python": platform.python_version(),
            "Kernel": machine.release,
            "Architecture": machine.machine,
        },
        form,
    )


@app.command("info")
def info(ctx: typer.Context, form: _Form = _TEXT) -> None:
    """Show where the engine keeps things, what it holds, which drivers it takes, and the machine.

    \b
    engine info
    engine info --format '{{.StorageDriver}}'
    """
    from engine.containers.listing import listing

    with open_engine(ctx) as engine:
        views = listing(engine, everything=True)
        machine = os.uname()
        running = sum(view.status.running for view in views)
        chosen = {kind: engine.chosen(kind, _setting(engine.settings, kind)).name for kind in _KINDS}
        found = {
            "Version": __version__,
            "Root": str(engine.layout.root),
            "State": str(engine.layout.state),
            "Mark": engine.settings.mark,
            "Containers": len(views),
            "ContainersRunning": running,
            "ContainersStopped": len(views) - running,
            "Images": len(engine.library.list()),
            **{_KINDS[kind]: name for kind, name in chosen.items()},
            "Kernel": machine.release,
            "Architecture": machine.machine,
            "Hostname": machine.nodename,
            "Processors": os.cpu_count(),
            "Memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "Settings": _settings(engine.settings),
        }
    _show(found, form)


_KINDS = {
    "storage": "StorageDriver",
    "cgroup": "CgroupDriver",
    "runtime": "Runtime",
    "namespace": "NamespaceDriver",
    "log": "LogDriver",
}


def _setting(settings: Any, kind: str) -> str:
    from engine.settings import DRIVERS

    name: str = getattr(settings, DRIVERS[kind])
    return name


def _settings(settings: Any) -> dict[str, str]:
    """Return each setting with where it came from: "overlay (/etc/engine/engine.toml)"."""
    values = settings._asdict()
    origins = values.pop("origins")
    return {name: f"{_text(value)} ({origins.get(name, 'default')})" for name, value in values.items()}


def _text(value: Any) -> str:
    return str(dict(value) if isinstance(value, Mapping) else value) or "''"


def _show(found: dict[str, Any], form: str) -> None:
    if form == JSON:
        write_json(found)
    elif form == _TEXT:
        for name, value in found.items():
            if isinstance(value, dict):
                write("\n".join([f"{name}:", *(f"  {key + ':':18}{one}" for key, one in value.items())]))
            else:
                write(f"{name + ':':20}{value}")
    else:
        write(render(form, found))
