"""Every command by name: the module that holds it and the line that help shows. Importing this imports no command."""

from __future__ import annotations

import os

from engine.tuples import NamedTuple


class Entry(NamedTuple):
    """One command. ``module`` has an ``app`` with it; ``group``: the whole ``app`` is the command, with its own."""

    module: str
    help: str
    group: bool = False


SECTIONS: dict[str, dict[str, Entry]] = {
    "Containers": {
        "run": Entry("engine.cli.run", "Make a container of an image and run a command in it"),
        "create": Entry("engine.cli.run", "Make a container without starting it"),
        "start": Entry("engine.cli.lifecycle", "Start containers that were made or have ended"),
        "exec": Entry("engine.cli.execute", "Run one more command in a running container"),
        "attach": Entry("engine.cli.lifecycle", "Connect the terminal to a running container"),
        "stop": Entry("engine.cli.lifecycle", "Ask containers to end; kill those that do not"),
        "restart": Entry("engine.cli.changing", "Stop containers and start them again"),
        "pause": Entry("engine.cli.changing", "Stop every process of containers where it is"),
        "unpause": Entry("engine.cli.changing", "Let paused containers go on"),
        "rename": Entry("engine.cli.changing", "Give a container another name"),
        "update": Entry("engine.cli.changing", "Change the limits of containers"),
        "kill": Entry("engine.cli.lifecycle", "Send a signal to containers"),
        "wait": Entry("engine.cli.lifecycle", "Wait until containers have ended; print exit statuses"),
        "rm": Entry("engine.cli.lifecycle", "Remove containers and what they wrote"),
        "container": Entry("engine.cli.container", "All of the above, and remove those that do not run", group=True),
        "cp": Entry("engine.cli.copying", "Copy files between a container and the machine"),
        "commit": Entry("engine.cli.layers", "Make an image of a container"),
        "export": Entry("engine.cli.archives", "Write a container's files to a tar archive"),
    },
    "Looking": {
        "ps": Entry("engine.cli.look", "List containers"),
        "top": Entry("engine.cli.measuring", "Show the processes of a running container"),
        "stats": Entry("engine.cli.measuring", "Show what running containers use, as it changes"),
        "events": Entry("engine.cli.events", "Show what happens to containers and images, as it happens"),
        "logs": Entry("engine.cli.look", "Show what a container wrote"),
        "inspect": Entry("engine.cli.look", "Show everything known of containers or images, as JSON"),
        "diff": Entry("engine.cli.look", "Show what a container changed in its files"),
    },
    "Explaining": {
        "explain": Entry("engine.cli.explain", "Show what a command would do, without doing it", group=True),
        "why": Entry("engine.cli.why", "Say what ended a container, or kept it from starting"),
    },
    "Images": {
        "images": Entry("engine.cli.images", "List images"),
        "pull": Entry("engine.cli.registry", "Get an image from a registry"),
        "push": Entry("engine.cli.registry", "Send an image to a registry"),
        "load": Entry("engine.cli.images", "Load images from an archive or an OCI directory"),
        "import": Entry("engine.cli.images", "Make an image of a root filesystem's tarball"),
        "save": Entry("engine.cli.archives", "Write images to an archive"),
        "history": Entry("engine.cli.layers", "Show the steps that an image was made in"),
        "tag": Entry("engine.cli.images", "Give an image one more name"),
        "rmi": Entry("engine.cli.images", "Remove images"),
        "image": Entry("engine.cli.image", "All of the above, and inspect and prune images", group=True),
    },
    "Engine": {
        "info": Entry("engine.cli.about", "Show the engine's places, drivers and machine"),
        "version": Entry("engine.cli.about", "Show the versions of the engine and what it stands on"),
        "system": Entry("engine.cli.system", "Show what takes room, and remove what nobody uses", group=True),
        "completion": Entry("engine.cli.completion.command", "Print the script that completes commands in a shell"),
        "plugins": Entry("engine.cli.plugins", "Show, check and make plugins", group=True),
    },
}
COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
BORROWED: dict[str, dict[str, str]] = {
    "container": {
        "attach": "attach", "commit": "commit", "cp": "cp", "create": "create", "diff": "diff", "exec": "exec",
        "export": "export", "kill": "kill", "logs": "logs", "ls": "ps", "pause": "pause", "rename": "rename",
        "restart": "restart", "rm": "rm", "run": "run", "start": "start", "stats": "stats", "stop": "stop",
        "top": "top", "unpause": "unpause", "update": "update", "wait": "wait",
    },
    "image": {
        "history": "history", "import": "import", "load": "load", "ls": "images", "pull": "pull", "push": "push",
        "rm": "rmi", "save": "save", "tag": "tag",
    },
    "system": {"events": "events", "info": "info"},
}  # fmt: skip
"""The commands that a group has from above, as Docker's groups do: what it calls each, and the name here."""

QUICK: dict[str, tuple[str, str]] = {
    "run": ("engine.cli.running", "run"),
    "create": ("engine.cli.running", "create"),
    "exec": ("engine.cli.executing", "execute"),
}
"""Module and function of each command that `engine.cli.quick` reads. The function's first argument has an ``obj``, the
`engine.cli.places.Places`; the others are named as typer names them."""

_HEAD = """Usage: engine [--root DIR] [--state DIR] [--debug] COMMAND ...

A container engine made of plugins."""
_TAIL = """Options:
  --root DIR    Images, containers and snapshots (default: /var/lib/engine)
  --state DIR   What a reboot may forget (default: /run/engine)
  --debug       Show the whole traceback when something fails
  --version     Show the version

`engine COMMAND --help` explains a command.
Try: engine run --rm host: echo hello"""


def overview() -> str:
    """Return the help of the whole command line, made from the tables above."""
    width = max(map(len, COMMANDS))
    parts = [_HEAD]
    for title, commands in SECTIONS.items():
        lines = [f"  {name:{width}}   {entry.help}" for name, entry in commands.items()]
        parts.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join([*parts, _TAIL])


def sources() -> list[str]:
    """Return the modules of the command line, and their directory."""
    place = os.path.dirname(os.path.abspath(__file__))
    return [place, *(entry.path for entry in os.scandir(place) if entry.name.endswith(".py"))]


def first_word(arguments: list[str]) -> int:
    """Return where the command stands: the first word that is neither an option nor an option's value."""
    position = 0
    while position < len(arguments) and arguments[position].startswith("-"):
        position += 2 if arguments[position] in {"--root", "--state"} else 1
    return position
