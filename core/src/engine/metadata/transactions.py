"""Write transactions over the store's connection. No kernel work is done inside one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import EngineError

_FREE = "Free some space on the disk of --root, by removing containers or images, then run the command again."
_NO_ROOM = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_WRITE,
)
CHECK = "Check that you may write there and that the disk is not full, or choose another --root."


class StoreFull(EngineError):
    """A transaction did not happen for want of space."""


class FullStore(sqlite3.Connection):
    """A connection that can only read, because the disk has no room for the files that writing takes."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a write transaction: committed at the end of the block, rolled back when it raises.

    Raises `StoreFull` when the disk is, `EngineError` when the store cannot be written for another reason.
    """
    try:
        yield from _committed(connection)
    except sqlite3.OperationalError as error:
        if is_full(error) or isinstance(connection, FullStore):
            raise StoreFull("the engine's store has no room: its disk is full, or a quota", fix=_FREE) from error
        raise EngineError(f"the engine's store cannot be written: {error}", fix=CHECK) from error


def is_full(error: sqlite3.Error) -> bool:
    """Return whether SQLite says by this that it got no room: each of its files, and a quota, has a way of its own."""
    return getattr(error, "sqlite_errorcode", 0) in _NO_ROOM


def _committed(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise
