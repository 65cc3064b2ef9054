"""The images' tables: images by ID, the names that point at them, and nothing that the content store knows itself.

An image's ID is its configuration's digest ("sha256:…"). A name is the canonical form of `engine.images.reference`.
Deleting an image needs all its names to be gone. The functions run inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

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
)


class ImageRow(NamedTuple):
    """One image. ``size`` counts the bytes of its blobs as stored, ``created`` is the configuration's RFC 3339 time (or ""),
    ``added`` is nanoseconds since the epoch. ``names`` are sorted."""

    id: str
    manifest: str
    size: int
    created: str
    added: int
    names: tuple[str, ...] = ()


_COLUMNS = "SELECT id, manifest, size, created, added FROM images "


def put(connection: sqlite3.Connection, image: ImageRow) -> None:
    """Record an image; one that is there keeps its place, and takes the manifest given last. Names are not touched."""
    connection.execute(
        "INSERT INTO images VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET manifest=excluded.manifest, size=excluded.size",
        image[:5],
    )


def point(connection: sqlite3.Connection, name: str, image_id: str) -> str | None:
    """Let the name point at the image; return the ID it pointed at before, None when it was free."""
    row = connection.execute("SELECT image FROM image_names WHERE name=?", (name,)).fetchone()
    connection.execute("INSERT OR REPLACE INTO image_names VALUES (?, ?)", (name, image_id))
    return None if row is None else str(row[0])


def unpoint(connection: sqlite3.Connection, name: str) -> None:
    """Forget a name; nothing when it is gone already."""
    connection.execute("DELETE FROM image_names WHERE name=?", (name,))


def delete(connection: sqlite3.Connection, image_id: str) -> None:
    """Forget an image and every name of it; nothing when it is gone already."""
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
    return [ImageRow(*row, _names(connection, row[0])) for row in rows]


def everything(connection: sqlite3.Connection) -> list[ImageRow]:
    """Return every image with its names, the newest first."""
    names: dict[str, list[str]] = {}
    for name, image in connection.execute("SELECT name, image FROM image_names ORDER BY name"):
        names.setdefault(image, []).append(name)
    rows = connection.execute(_COLUMNS + "ORDER BY created DESC, id").fetchall()
    return [ImageRow(*row, tuple(names.get(row[0], ()))) for row in rows]


def _one(connection: sqlite3.Connection, row: tuple[str, str, int, str, int] | None) -> ImageRow | None:
    return None if row is None else ImageRow(*row, _names(connection, row[0]))


def _names(connection: sqlite3.Connection, image_id: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM image_names WHERE image=? ORDER BY name", (image_id,))
    return tuple(row[0] for row in rows)
