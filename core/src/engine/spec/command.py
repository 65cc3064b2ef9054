"""The process of a container: arguments, environment, directory and signal, from the image and the user's words. Pure.

The rules are Docker's (docker-run(1); Dockerfile reference, "Understand how CMD and ENTRYPOINT interact").
"""

from __future__ import annotations

from engine.errors import InvalidInput, Unsupported
from engine.spec.defaults import INIT_TARGET, PATH, STOP_SIGNAL, TERM
from engine.spec.environment import merge_env
from engine.spec.facts import HostFacts
from engine.spec.image import RunConfig
from engine.spec.options import RunOptions
from engine.spec.stop_signals import signal_number


def arguments_of(options: RunOptions, image: RunConfig, facts: HostFacts) -> list[str]:
    """Return ``process.args``. Raises `InvalidInput` when neither the user nor the image says what to run."""
    if options.entrypoint is None:
        entrypoint, default = image.entrypoint or (), image.cmd or ()
    else:
        entrypoint, default = options.entrypoint, ()
    args = [*entrypoint, *(options.command or default)]
    if not args:
        raise InvalidInput(
            f"the image {options.image} does not say what to run, and neither does the command line",
            fix=f"Name a command after the image, as in `engine run {options.image} sh`.",
        )
    if not args[0]:
        raise InvalidInput("the command to run has an empty name", fix="Name a program of the container.")
    if any("\0" in argument for argument in args):
        raise InvalidInput("an argument of the command holds a NUL character", fix="Leave it out.")
    return [*_init_prefix(options, facts), *args]


def _init_prefix(options: RunOptions, facts: HostFacts) -> list[str]:
    if not options.init:
        return []
    if not facts.init:
        raise Unsupported("--init: this machine has no small init program", fix="Run `apt install tini`.")
    return [INIT_TARGET, "--"]


def environment_of(options: RunOptions, image: RunConfig, hostname: str) -> list[str]:
    """Return ``process.env``. HOME is left to the stage, which reads the container's users."""
    terminal = [TERM] if options.tty else []
    return merge_env([PATH, *terminal], options.host_env, [f"HOSTNAME={hostname}"], image.env, options.env)


def directory_of(options: RunOptions, image: RunConfig) -> str:
    """Return ``process.cwd``: absolute. One that does not exist is made by the runtime, as runc does."""
    directory = options.workdir or image.working_dir or "/"
    return directory if directory.startswith("/") else f"/{directory}"


def hostname_of(options: RunOptions, facts: HostFacts, container_id: str) -> str:
    """Return the host name seen inside: the user's, the machine's with its namespaces, or the ID's start."""
    if options.hostname:
        return options.hostname
    wishes = options.wishes()
    return facts.hostname if "host" in {wishes["net"], wishes["uts"]} else container_id[:12]


def stop_signal_of(options: RunOptions, image: RunConfig) -> int:
    """Return the number of the signal that asks the container to end. `InvalidInput` for nonsense in the image."""
    if options.stop_signal is not None:
        return options.stop_signal
    return signal_number(image.stop_signal, "the image's stop signal") if image.stop_signal else STOP_SIGNAL


def labels_of(options: RunOptions, image: RunConfig) -> dict[str, str]:
    """Return the image's labels with the user's over them."""
    return {**image.labels, **options.labels}
