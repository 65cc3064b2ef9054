"""What a flag's value or an argument could be: by the flag's name, by what stands for it in the help, or by the help's
own words ("none, host, container:NAME")."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from engine.cli.completion import things
from engine.cli.completion.walking import Line
from engine.cli.describing import Flag
from engine.tuples import NamedTuple

NOSPACE, FILES, DIRECTORIES = "nospace", "files", "directories"
_CHOICE = re.compile(r"[a-z][a-z0-9_-]*([:=].*)?")
_CONTAINER = "container:"


class Offer(NamedTuple):
    """Words with what each is, and marks for the shell: `NOSPACE`, `FILES`, `DIRECTORIES`."""

    words: dict[str, str] = {}  # noqa: RUF012  # a named tuple's, and nobody adds to it
    marks: tuple[str, ...] = ()


def offer(line: Line, current: str) -> Offer:
    """Return what the flag's value or the argument that is being typed could be; ``current`` is what there is of it."""
    if line.value is not None:
        return _value(line, line.value, current)
    if line.argument is None or line.command is None:
        return Offer()
    metavar = line.argument.metavar
    made = _ARGUMENTS.get((_name(line), metavar)) or _ARGUMENTS.get(("", metavar))
    return made(line, current) if made else Offer()


def _name(line: Line) -> str:
    """Return the command's name: that of the one above for `engine container exec` and its like."""
    return (line.command.same or line.command.name) if line.command else ""


def _value(line: Line, flag: Flag, current: str) -> Offer:
    for name in flag.names:
        if name in _FLAGS:
            return _FLAGS[name](line, current)
    for beginning, made in _METAVARS.items():
        if flag.metavar == beginning or flag.metavar.startswith((f"{beginning}:", f"{beginning}[")):
            return made(line, current)
    return _choices(line, flag.help, current)


def _choices(line: Line, text: str, current: str) -> Offer:
    """Return the words of a help that is nothing but a list of them, at least after a colon; of one that has a value,
    what stands before the ``=``."""
    listed = text.removeprefix("By ").partition(", or a template")[0].rpartition(": ")[2]
    words = [word.partition("[")[0] for word in re.split(r", (?:or )?| or ", listed) if word != "..."]
    if not all(map(_CHOICE.fullmatch, words)):
        return Offer()
    found = {word: "" for word in words if ":" not in word and "=" not in word}
    with_value = {word.partition("=")[0] + "=": "" for word in words if "=" in word}
    if text.startswith("By "):
        return _filter(line, list(found), current)
    if any(word.startswith(_CONTAINER) for word in words):
        return _joined(found, line, current)
    return Offer({**found, **with_value}, (NOSPACE,) if with_value else ())


def _joined(words: dict[str, str], line: Line, current: str) -> Offer:
    if current.startswith(_CONTAINER):
        return Offer({_CONTAINER + name: text for name, text in things.containers(line.given, things.running).items()})
    return Offer({**words, _CONTAINER: "Another container's"}, (NOSPACE,) if current.startswith("c") else ())


def _filter(line: Line, keys: list[str], current: str) -> Offer:
    key, equals, _ = current.partition("=")
    if not equals:
        return Offer({f"{one}=": "" for one in keys}, (NOSPACE,))
    made = {
        "status": lambda: dict.fromkeys(things.states(), ""),
        "dangling": lambda: dict.fromkeys(("true", "false"), ""),
        "ancestor": lambda: things.images(line.given),
        "reference": lambda: things.images(line.given),
        "name": lambda: things.containers(line.given),
    }.get(key)
    return Offer({f"{key}={word}": text for word, text in made().items()}) if made else Offer()


def _namespace(line: Line, current: str) -> Offer:
    from engine.linux.namespaces import KINDS

    kind, equals, wish = current.partition("=")
    if not equals:
        return Offer({f"{one}=": "" for one in KINDS}, (NOSPACE,))
    found = _joined({"new": "Its own", "host": "The machine's"}, line, wish)
    return found._replace(words={f"{kind}={word}": text for word, text in found.words.items()})


def _capability(_line: Line, _current: str) -> Offer:
    from engine.linux.capabilities import NAMES

    return Offer(dict.fromkeys(("ALL", *(name.removeprefix("CAP_") for name in NAMES)), ""))


def _ulimit(_line: Line, _current: str) -> Offer:
    from engine.spec.ulimits import NAMES

    return Offer(dict.fromkeys((f"{name}=" for name in NAMES), ""), (NOSPACE,))


def _signal(_line: Line, _current: str) -> Offer:
    from signal import Signals, strsignal

    return Offer({one.name.removeprefix("SIG"): strsignal(one) or "" for one in Signals})


def _platform(_line: Line, _current: str) -> Offer:
    return Offer({f"linux/{one}": "" for one in ("amd64", "arm64", "arm/v7", "386", "ppc64le", "riscv64", "s390x")})


def _variable(_line: Line, current: str) -> Offer:
    """Return this shell's variables, which are passed on under their names."""
    return Offer() if "=" in current else Offer(dict.fromkeys(os.environ, ""))


def _boolean(_line: Line, _current: str) -> Offer:
    return Offer({"true": "", "false": ""})


def _nothing(_line: Line, _current: str) -> Offer:
    return Offer()


def _plugin(kind: str) -> Callable[[Line, str], Offer]:
    return lambda _line, _current: Offer(things.plugins(kind))


def _any_plugin(_line: Line, _current: str) -> Offer:
    from engine.hookspecs import GROUPS

    return Offer({f"{kind}/{name}": text for kind in GROUPS for name, text in things.plugins(kind).items()})


def _kind(_line: Line, _current: str) -> Offer:
    from engine.hookspecs import GROUPS

    return Offer(dict.fromkeys(GROUPS, ""))


def _container(line: Line, current: str) -> Offer:
    wanted = things.wanted_by(_name(line), forced="--force" in line.given)
    found = things.containers(line.given, wanted, current)
    return Offer({word: text for word, text in found.items() if word not in line.words})


def _any_container(line: Line, _current: str) -> Offer:
    return Offer(things.containers(line.given))


def _image(line: Line, current: str) -> Offer:
    found = things.images(line.given, current)
    if _name(line) in {"run", "create", "explain run"}:
        found["host:"] = "This machine's files"
    return Offer({word: text for word, text in found.items() if word not in line.words})


def _either(line: Line, current: str) -> Offer:
    kinds = line.given.get("--type", ["container", "image"])
    found = _container(line, current).words if "container" in kinds else {}
    return Offer({**(_image(line, current).words if "image" in kinds else {}), **found})


def _copied(line: Line, current: str) -> Offer:
    """Return one side of ``cp``: a container, or a file here."""
    container, colon, _ = current.partition(":")
    if colon and container and "/" not in container:
        return Offer()
    found = {} if "/" in current else things.containers(line.given)
    return Offer({f"{name}:": text for name, text in found.items()}, (NOSPACE, FILES))


def _files(_line: Line, current: str) -> Offer:
    """Return files, where no colon has ended the name of one already."""
    return Offer({}, () if ":" in current else (FILES,))


def _directories(_line: Line, _current: str) -> Offer:
    return Offer({}, (DIRECTORIES,))


def _shell(_line: Line, _current: str) -> Offer:
    return Offer(dict.fromkeys(("bash", "zsh", "fish"), ""))


_FLAGS: dict[str, Callable[[Line, str], Offer]] = {
    "--storage": _plugin("storage"),
    "--cgroup-driver": _plugin("cgroup"),
    "--runtime": _plugin("runtime"),
    "--log-driver": _plugin("log"),
    "--namespace": _namespace,
    "--platform": _platform,
    "--env": _variable,
    "--cgroup-parent": _nothing,
    "--ulimit": _ulimit,
    "--kind": _kind,
    "--volumes-from": _any_container,
    "--attach": lambda _line, _current: Offer(dict.fromkeys(("stdin", "stdout", "stderr"), "")),
    "--volume": _files,
    "--device": _files,
}
"""By the flag's name; "-v" and its like by their long ones."""

_METAVARS: dict[str, Callable[[Line, str], Offer]] = {
    "SIGNAL": _signal,
    "CAPABILITY": _capability,
    "CONTAINER": _any_container,
    "IMAGE": _image,
    "BOOLEAN": _boolean,
    "FILE": _files,
    "PATH": _files,
    "DIR": _directories,
}
"""By what stands for the value in the help, alone or before what may follow it."""

_ARGUMENTS: dict[tuple[str, str], Callable[[Line, str], Offer]] = {
    ("", "CONTAINER"): _container,
    ("", "IMAGE"): _image,
    ("", "FILE"): _files,
    ("images", "REFERENCE"): _image,
    ("inspect", "NAME"): _either,
    ("cp", "SOURCE"): _copied,
    ("cp", "TARGET"): _copied,
    ("plugins check", "NAME"): _any_plugin,
    ("completion", "SHELL"): _shell,
}
"""By the command ("": any) and what stands for the argument in its help."""
