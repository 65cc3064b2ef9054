"""One engine: its settings, directories, store and drivers, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import locks, plugins
from engine.containers.layout import Layout
from engine.errors import Conflict, NotFound
from engine.images.progress import Progress, silent
from engine.metadata.store import Store

if TYPE_CHECKING:
    from engine.contracts.cgroup import CgroupDriver
    from engine.contracts.logs import LogDriver
    from engine.contracts.runtime import Runtime
    from engine.contracts.storage import StorageDriver
    from engine.images.library import Library
    from engine.settings import Settings

NO_OPTIONS: Mapping[str, str] = {}
_PATIENCE = 60.0
"""Seconds that a command waits for another that works on the same container."""


class Engine:
    """What a command works with. Close it, or use it as a context manager: it holds the store's connection.

    ``until_exit`` leaves that connection open to the process's own end, when leaving the context: the last one to close
    a store copies its log into the database and waits for the disk several times, which a kill does without harm and
    the next command does not need. With ``looking`` nothing is made: no directory, and the store is only read.
    ``progress`` is told of what takes long.
    """

    def __init__(self, settings: Settings, *, until_exit: bool = False, looking: bool = False) -> None:
        self.settings = settings
        self._until_exit = until_exit
        self._looking = looking
        self.layout = Layout(Path(settings.root), Path(settings.state))
        if not looking:
            self.layout.make()
        self.progress: Progress = silent
        self._chosen: dict[tuple[str, str, tuple[tuple[str, str], ...]], plugins.Chosen] = {}

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_exc: object) -> None:
        if not self._until_exit:
            self.close()

    def close(self) -> None:
        """Close the store, if it was opened; it is opened again when it is next needed."""
        store = self.__dict__.pop("store", None)
        self.__dict__.pop("library", None)
        if store is not None:
            store.close()

    @contextmanager
    def locked(self, container_id: str, patience: float | None = _PATIENCE) -> Iterator[None]:
        """Hold the container's lock for the body: one command at a time changes it.

        Whoever only looks (`ps`, `inspect`, `logs`), and `exec`, never takes it, so a command that hangs on one
        container holds up none of them. Raises `Conflict` when another command has it for longer than ``patience``
        seconds; None is for ever.
        """
        path = self.layout.lock(container_id)
        with locks.locked(path, patience=patience) as got:
            if not got:
                raise Conflict(
                    f"another command has been working on container {container_id[:12]} for more than a minute",
                    fix=f"Wait for it, or find who holds the lock: `fuser {path}`.",
                )
            yield

    @cached_property
    def store(self) -> Store:
        """The metadata store. Call `close` before any fork."""
        return Store(self.layout.root, reading=self._looking)

    @cached_property
    def library(self) -> Library:
        """The images. Raises `NotFound` when there is no place for any, and this engine only looks."""
        if self._looking and not (self.layout.root / "content").is_dir():
            raise NotFound(
                f"there are no images below {self.layout.root}",
                fix="`engine load` brings some; host: is there without, this machine's own files.",
            )
        from engine.images.library import Library

        return Library(self.layout.root, self.store.connection)

    def chosen(self, kind: str, name: str, options: Mapping[str, str] = NO_OPTIONS) -> plugins.Chosen:
        """Return the driver of that kind and name, or what ``auto`` takes; the same one for the same question.

        ``options`` are the command line's for that driver. Raises `NotFound`, `PluginError` or `Unsupported`, as
        `engine.plugins.choose` does.
        """
        key = (kind, name, tuple(sorted(options.items())))
        if key not in self._chosen:
            self._chosen[key] = self._choose(kind, name, options)
        return self._chosen[key]

    def storage(self, name: str) -> StorageDriver:
        """Return the storage driver of that name."""
        found: StorageDriver = self.chosen("storage", name).driver
        return found

    def cgroup(self, name: str) -> CgroupDriver:
        """Return the cgroup driver of that name."""
        found: CgroupDriver = self.chosen("cgroup", name).driver
        return found

    def runtime(self, name: str) -> Runtime:
        """Return the runtime of that name."""
        found: Runtime = self.chosen("runtime", name).driver
        return found

    def log(self, name: str, options: Mapping[str, str] = NO_OPTIONS) -> LogDriver:
        """Return the log driver of that name; ``options`` are the container's ``--log-opt``."""
        found: LogDriver = self.chosen("log", name, options).driver
        return found

    def _choose(self, kind: str, name: str, options: Mapping[str, str]) -> plugins.Chosen:
        return plugins.choose(
            kind, name, lambda driver: self._config(kind, driver, options), scope=str(self.layout.root)
        )

    def _config(self, kind: str, driver: str, options: Mapping[str, str]) -> Any:
        config = plugins.config_for(kind, driver, self.settings, options)
        for directory in (getattr(config, "root", None), getattr(config, "cache", None)):
            if directory is not None and not self._looking:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return config
