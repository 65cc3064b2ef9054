"""Images from registries, when a command asks for them or a container needs one that is not here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.containers.engine import NO_OPTIONS, Engine
from engine.errors import Unreachable
from engine.images import host
from engine.spec.descriptor import parse_platform
from engine.spec.options import PULL_ALWAYS, PULL_MISSING, RunOptions

if TYPE_CHECKING:
    from engine.contracts.transport import Transport
    from engine.images.remote import Pulled, Pushed
    from engine.spec.descriptor import Platform


def ensure(engine: Engine, options: RunOptions) -> None:
    """Pull a container's image if its ``--pull`` says so: always, or (as usual) when it is missing.

    Raises what `pull` raises; a registry that does not answer, for an image that is not here, is an `Unreachable` that
    says both.
    """
    if options.image == host.NAME or options.pull not in {PULL_ALWAYS, PULL_MISSING}:
        return
    platform = parse_platform(options.platform) if options.platform else None
    if options.pull == PULL_MISSING and engine.library.holds(options.image, platform):
        return
    try:
        pull(engine, options.image, platform=platform, storage=options.storage)
    except Unreachable as error:
        if options.pull == PULL_ALWAYS:
            raise
        raise Unreachable(
            f"there is no image {options.image!r} here, and {error.what}",
            fix="Check the name (`engine images` lists what is here) and the network, then run it again.",
        ) from error


def pull(
    engine: Engine,
    text: str,
    *,
    platform: Platform | None = None,
    storage: str = "",
    options: Mapping[str, str] = NO_OPTIONS,
) -> Pulled:
    """Pull an image and unpack it for a storage driver ("": the settings' choice).

    ``options`` are the command line's for the transport. Raises as `engine.images.library.Library.pull`.
    """
    chosen = engine.chosen("storage", storage or engine.settings.storage)
    return engine.library.pull(
        text,
        _transports(engine, options),
        platform=platform,
        storage=(chosen.name, chosen.driver),
        progress=engine.progress,
    )


def tagged(engine: Engine, text: str, *, options: Mapping[str, str] = NO_OPTIONS) -> tuple[str, ...]:
    """Return the names of all images of a repository. Raises as `engine.images.library.Library.tagged`."""
    return engine.library.tagged(text, _transports(engine, options))


def push(engine: Engine, text: str, *, options: Mapping[str, str] = NO_OPTIONS) -> Pushed:
    """Push an image to the registry that its name says. Raises as `engine.images.library.Library.push`."""
    return engine.library.push(text, _transports(engine, options), engine.progress)


def _transports(engine: Engine, options: Mapping[str, str]) -> list[Transport]:
    """Return the transports that speak with registries, with these options."""
    from engine import plugins
    from engine.contracts.transport import Capability

    plain = {name: engine.chosen("transport", name).driver for name in plugins.index().names("transport")}
    names = [name for name, driver in plain.items() if Capability.REGISTRY in driver.capabilities]
    return [engine.chosen("transport", name, options).driver for name in names]
