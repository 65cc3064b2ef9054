"""Changes to an image's configuration, as `import --change` takes them: instructions of a Dockerfile.

``CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR``; lists as JSON or, where a
Dockerfile allows it, as words for the shell. Pure; everything raises `InvalidInput`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable

from engine.errors import InvalidInput
from engine.images.healthcheck import options_of
from engine.spec.health import healthcheck_of
from engine.spec.image import RunConfig
from engine.spec.options import NO_WISH

_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")


def apply(config: RunConfig, changes: Iterable[str]) -> RunConfig:
    """Return the configuration with the changes made, in order."""
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None:
            raise _wrong(change, f"is none of {' '.join(sorted(_INSTRUCTIONS))}")
        if not rest.strip() or "\0" in rest:
            raise _wrong(change, "says nothing after the instruction")
        config = instruction(config, rest.strip())
    return config


def _cmd(config: RunConfig, text: str) -> RunConfig:
    return config._replace(cmd=_words_or_shell(config, text))


def _entrypoint(config: RunConfig, text: str) -> RunConfig:
    """A new entrypoint makes the command, which was meant for the old one, meaningless."""
    return config._replace(entrypoint=_words_or_shell(config, text), cmd=None)


def _env(config: RunConfig, text: str) -> RunConfig:
    merged = dict(entry.split("=", 1) for entry in config.env if "=" in entry) | dict(_pairs("ENV", text))
    return config._replace(env=tuple(f"{key}={value}" for key, value in merged.items()))


def _label(config: RunConfig, text: str) -> RunConfig:
    return config._replace(labels={**config.labels, **dict(_pairs("LABEL", text))})


def _expose(config: RunConfig, text: str) -> RunConfig:
    ports = []
    for word in text.split():
        match = _PORT.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not match or not 0 < first <= last <= 65535:
            raise _wrong(f"EXPOSE {text}", f"has {word!r}, which is no port")
        ports += [f"{port}/{match[3] or 'tcp'}" for port in range(first, last + 1)]
    return config._replace(exposed_ports=tuple(dict.fromkeys((*config.exposed_ports, *ports))))


def _volume(config: RunConfig, text: str) -> RunConfig:
    volumes = _json_words(f"VOLUME {text}", text) or tuple(text.split())
    return config._replace(volumes=tuple(dict.fromkeys((*config.volumes, *volumes))))


def _workdir(config: RunConfig, text: str) -> RunConfig:
    base = config.working_dir or "/"
    return config._replace(working_dir=text if text.startswith("/") else f"{base.rstrip('/')}/{text}")


def _on_build(config: RunConfig, text: str) -> RunConfig:
    return config._replace(on_build=(*config.on_build, text))


def _healthcheck(config: RunConfig, text: str) -> RunConfig:
    """A check in words for the shell stays that: the container's shell is chosen when it is made."""
    said, rest = options_of(text)
    kind, _, command = rest.partition(" ")
    if rest == "NONE" and not said:
        return config._replace(healthcheck={"Test": ["NONE"]})
    words = _json_words(f"HEALTHCHECK {text}", command.strip())
    if kind != "CMD" or not command.strip() or words == ():
        raise _wrong(f"HEALTHCHECK {text}", "is neither NONE nor options and CMD with a command")
    test = ["CMD-SHELL", command.strip()] if words is None else ["CMD", *words]
    found = config._replace(healthcheck={"Test": test, **said})
    healthcheck_of(NO_WISH, found)
    return found


_INSTRUCTIONS: dict[str, Callable[[RunConfig, str], RunConfig]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": lambda config, text: config._replace(stop_signal=text),
    "USER": lambda config, text: config._replace(user=text),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _words_or_shell(config: RunConfig, text: str) -> tuple[str, ...]:
    words = _json_words(text, text)
    return (*(config.shell or _SHELL), text) if words is None else words


def _json_words(change: str, text: str) -> tuple[str, ...] | None:
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError as error:
        raise _wrong(change, f"begins like a JSON list and is none: {error}") from None
    if not all(isinstance(word, str) for word in words):
        raise _wrong(change, "has something other than texts in its list")
    return tuple(words)


def _pairs(word: str, text: str) -> list[tuple[str, str]]:
    """Read ``KEY=VALUE …`` with a shell's quotes, or the old form ``KEY VALUE``."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _wrong(f"{word} {text}", f"has unbalanced quotes ({error})") from None
    if "=" not in words[0] and len(words) > 1:
        key, _, value = text.partition(" ")
        return [(key, value.strip())]
    for one in words:
        if one.find("=") < 1:
            raise _wrong(f"{word} {text}", f"has {one!r}, which is no KEY=VALUE")
    return [(key, value) for key, _, value in (one.partition("=") for one in words)]


def _wrong(change: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"the change {change!r} {reason}",
        fix="Write it as in a Dockerfile: --change 'USER nobody' --change 'ENV A=b'.",
    )
