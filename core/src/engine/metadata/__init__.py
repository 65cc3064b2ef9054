"""The SQLite store: containers, images, snapshots. One file, ``<root>/engine.db``, in WAL mode."""
