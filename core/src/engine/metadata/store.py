"""Open the store, migrate it, and run transactions.

No connection is held across a fork (SQLite loses rows so), and no kernel work is done inside a transaction. A commit is
durable against a kill at once, and against a power cut at the next checkpoint (``synchronous=NORMAL`` in WAL mode,
sqlite.org/pragma.html): what a power cut takes away with it is what the kernel lost too.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, closing
from pathlib import Path

from engine.errors import EngineError, StateError
from engine.metadata import containers, images
from engine.metadata.transactions import CHECK, FullStore, is_full, transaction

FILE = "engine.db"
_BUSY_SECONDS = 30.0
_MEMORY = "/dev/shm"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (*containers.SCHEMA, *images.SCHEMA),
    containers.ID_RANGES,
    containers.UNTOLD_EVENTS,
)
"""Statements that lead from each version of the schema (its index) to the next; never edited once released."""


class Store:
    """The store below one engine root. Closed by `close`, or by leaving it as a context manager."""

    def __init__(self, root: Path, *, reading: bool = False) -> None:
        """Open or create ``root/engine.db``; with ``reading``, change no file: where there is none, it is empty.

        On a full disk it is opened to be read, and a transaction says so. Raises `EngineError` when neither can be.
        """
        path = root / FILE
        try:
            try:
                self._open(path, reading=reading)
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                self.connection = _copied_from_full(path)
                self._prepare(reading=False)
                self.connection.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            raise EngineError(f"cannot open the engine's store {path}: {error}", fix=CHECK) from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Run a write transaction: see `engine.metadata.transactions`."""
        return transaction(self.connection)

    def _open(self, path: Path, *, reading: bool) -> None:
        name, uri = (_to_read(path), True) if reading else (str(path), False)
        # Another thread has it for a while (`engine.images.arriving`), and never two at a time.
        self.connection = sqlite3.connect(
            name, timeout=_BUSY_SECONDS, isolation_level=None, uri=uri, check_same_thread=False
        )
        try:
            self._prepare(reading=reading)
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self, *, reading: bool) -> None:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StateError(
                f"the engine's store has schema {version}, and this engine knows up to {len(MIGRATIONS)}",
                fix="Use the newer engine that wrote it, or another --root.",
            )
        self.connection.execute("PRAGMA synchronous=NORMAL")
        if version < len(MIGRATIONS):
            if reading:
                self.connection = _copied(self.connection)
            # No effect on a store in memory, which is what one that is read and not there becomes.
            self.connection.execute("PRAGMA journal_mode=WAL")
            self._migrate()

    def _migrate(self) -> None:
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()  # again: another process may have won
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


def _copied(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy in memory, which may be migrated when the file may not be."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    connection.backup(copy)
    connection.close()
    return copy


def _copied_from_full(path: Path) -> sqlite3.Connection:
    """Return a copy in memory of a store that has no room beside it for the files that SQLite wants there."""
    from shutil import copy
    from tempfile import TemporaryDirectory

    full = sqlite3.connect(":memory:", isolation_level=None, factory=FullStore)
    with TemporaryDirectory(prefix="engine-", dir=_MEMORY) as place:
        for file in (path, path.with_name(f"{FILE}-wal")):
            if file.exists():
                copy(file, place)
        with closing(sqlite3.connect(Path(place, FILE), isolation_level=None)) as connection:
            connection.backup(full)
    return full


def _to_read(path: Path) -> str:
    """Return the address (sqlite.org/uri.html) of the store that makes no file beside it, as WAL does for a reader.

    An empty log, as a command leaves it that finds the disk full, has nothing to read either.
    """
    if not path.exists():
        return "file::memory:"
    try:
        logged = path.with_name(f"{FILE}-wal").stat().st_size
    except FileNotFoundError:
        logged = 0
    return f"{path.as_uri()}?mode=ro{'' if logged else '&immutable=1'}"
