"""The images' tables: images by ID, the names that point at them, what they need, and where they are unpacked.

An image's ID is its configuration's digest ("sha256:…"). A name is the canonical form of `engine.images.reference`.
What an image needs are its blobs (digests) and the snapshots of its layers ("sha256-…", see `engine.images.unpacking`);
what no image needs is garbage. The functions run inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable

from engine.tuples import NamedTuple

SCHEMA = (
    """CREATE TABLE images (
        id TEXT PRIMARY KEY,
        manifest TEXT NOT NULL,
        size INTEGER NOT NULL,
        created TEXT NOT NULL,
        added INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE image_names (
        name TEXT PRIMARY KEY,
        image TEXT NOT NULL REFERENCES images (id)
    ) WITHOUT ROWID""",
    "CREATE INDEX image_names_by_image ON image_names (image)",
    """CREATE TABLE image_needs (
        image TEXT NOT NULL REFERENCES images (id),
        name TEXT NOT NULL,
        PRIMARY KEY (image, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE unpacked_layers (
        driver TEXT NOT NULL,
        snapshot TEXT NOT NULL,
        PRIMARY KEY (driver, snapshot)
    ) WITHOUT ROWID""",
)


class ImageRow(NamedTuple):
    """One image.

    ``size`` counts the bytes of its blobs as stored, ``created`` is the configuration's RFC 3339 time (or ""),
    ``added`` is nanoseconds since the epoch, ``names`` are sorted.
    """

    id: str
    manifest: str
    size: int
    created: str
    added: int
    names: tuple[str, ...] = ()


_Columns = tuple[str, str, int, str, int]
_COLUMNS = "SELECT id, manifest, size, created, added FROM images "


def put(connection: sqlite3.Connection, image: ImageRow, needs: Iterable[str]) -> None:
    """Record an image and what it needs; of one that is there, what it needed before is forgotten. Names stay."""
    connection.execute(
        "INSERT INTO images VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET manifest=excluded.manifest, size=excluded.size",
        image[:5],
    )
    connection.execute("DELETE FROM image_needs WHERE image=?", (image.id,))
    rows = [(image.id, name) for name in dict.fromkeys(needs)]
    connection.executemany("INSERT INTO image_needs VALUES (?, ?)", rows)


def point(connection: sqlite3.Connection, name: str, image_id: str) -> str | None:
    """Let the name point at the image; return the ID it pointed at before, None when it was free."""
    row = connection.execute("SELECT image FROM image_names WHERE name=?", (name,)).fetchone()
    connection.execute("INSERT OR REPLACE INTO image_names VALUES (?, ?)", (name, image_id))
    return None if row is None else str(row[0])


def unpoint(connection: sqlite3.Connection, name: str) -> None:
    """Forget a name; nothing when it is gone already."""
    connection.execute("DELETE FROM image_names WHERE name=?", (name,))


def delete(connection: sqlite3.Connection, image_id: str) -> None:
    """Forget an image, every name of it and what it needs; nothing when it is gone already."""
    connection.execute("DELETE FROM image_needs WHERE image=?", (image_id,))
    connection.execute("DELETE FROM image_names WHERE image=?", (image_id,))
    connection.execute("DELETE FROM images WHERE id=?", (image_id,))


def named(connection: sqlite3.Connection, name: str) -> ImageRow | None:
    """Return the image that the canonical name points at."""
    query = _COLUMNS + "WHERE id=(SELECT image FROM image_names WHERE name=?)"
    return _one(connection, connection.execute(query, (name,)).fetchone())


def by_id(connection: sqlite3.Connection, image_id: str) -> ImageRow | None:
    """Return the image of that full ID ("sha256:…")."""
    return _one(connection, connection.execute(_COLUMNS + "WHERE id=?", (image_id,)).fetchone())


def by_prefix(connection: sqlite3.Connection, digits: str) -> list[ImageRow]:
    """Return the images (two at most) whose ID begins with these hexadecimal digits."""
    start = f"sha256:{digits}"
    rows = connection.execute(_COLUMNS + "WHERE id >= ? AND id < ? LIMIT 2", (start, start + "g")).fetchall()
    return [_row(row, _names(connection, row[0])) for row in rows]


def everything(connection: sqlite3.Connection) -> list[ImageRow]:
    """Return every image with its names, the newest first."""
    names: dict[str, list[str]] = {}
    for name, image in connection.execute("SELECT name, image FROM image_names ORDER BY name"):
        names.setdefault(image, []).append(name)
    rows = connection.execute(_COLUMNS + "ORDER BY created DESC, id").fetchall()
    return [_row(row, tuple(names.get(row[0], ()))) for row in rows]


def needed(connection: sqlite3.Connection, among: Collection[str] | None = None) -> frozenset[str]:
    """Return everything that some image needs, or some image ``among`` these IDs."""
    rows = connection.execute("SELECT DISTINCT name, image FROM image_needs").fetchall()
    return frozenset(name for name, image in rows if among is None or image in among)


def note_unpacked(connection: sqlite3.Connection, driver: str, snapshot: str) -> None:
    """Remember that the driver has a committed snapshot of that name."""
    connection.execute("INSERT OR IGNORE INTO unpacked_layers VALUES (?, ?)", (driver, snapshot))


def forget_unpacked(connection: sqlite3.Connection, driver: str, snapshot: str) -> None:
    """Forget what `note_unpacked` remembered; nothing when it is gone already."""
    connection.execute("DELETE FROM unpacked_layers WHERE driver=? AND snapshot=?", (driver, snapshot))


def unpacked(connection: sqlite3.Connection, snapshot: str) -> tuple[str, ...]:
    """Return the drivers that have the snapshot."""
    rows = connection.execute("SELECT driver FROM unpacked_layers WHERE snapshot=? ORDER BY driver", (snapshot,))
    return tuple(row[0] for row in rows)


def unpacked_layers(connection: sqlite3.Connection, driver: str) -> frozenset[str]:
    """Return the snapshots of layers that the driver has."""
    rows = connection.execute("SELECT snapshot FROM unpacked_layers WHERE driver=?", (driver,))
    return frozenset(row[0] for row in rows)


def unpacking_drivers(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return every driver that has a snapshot of an image's layer."""
    rows = connection.execute("SELECT DISTINCT driver FROM unpacked_layers ORDER BY driver")
    return tuple(row[0] for row in rows)


def _one(connection: sqlite3.Connection, row: _Columns | None) -> ImageRow | None:
    return None if row is None else _row(row, _names(connection, row[0]))


def _row(row: _Columns, names: tuple[str, ...]) -> ImageRow:
    return ImageRow(row[0], row[1], row[2], row[3], row[4], names)


def _names(connection: sqlite3.Connection, image_id: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM image_names WHERE image=? ORDER BY name", (image_id,))
    return tuple(row[0] for row in rows)
