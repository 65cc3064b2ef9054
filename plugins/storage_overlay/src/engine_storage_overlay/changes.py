"""What a layer changes against the layers below it: what `docker diff` shows.

Only directories in which the layer takes part are visited, and of those below only what their entries need to be told
apart (added, or there before). The layer may belong to a running container whose root renames, deletes and links
meanwhile: everything is opened below the descriptor of its root with links refused, so a race shows or hides a path
and never leads elsewhere. Paths longer than PATH_MAX, which only descriptors reach, are not shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engine.contracts.storage import Change, ChangeKind
from engine.tuples import NamedTuple
from engine_storage_overlay.stack import Found, Marks, Parts, Stack, is_whiteout, join, open_below, read_marks

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class _Entry(NamedTuple):
    """One entry of a directory of the layer."""

    is_dir: bool
    is_whiteout: bool


class _Directory(NamedTuple):
    """One directory to be compared: ``before`` are the parts it had below, ``now`` those it still shows."""

    path: str
    before: Parts
    now: Parts


def compare(layer: Path, lowers: list[Path], *, userxattr: bool, private: bool) -> Iterator[Change]:
    """Yield what ``layer`` changes against ``lowers`` (the topmost first), each directory before what is in it.

    ``private`` as in `Stack`. Raises `OSError`.
    """
    prefix = "user.overlay." if userxattr else "trusted.overlay."
    with Stack([os.fspath(lower) for lower in lowers], prefix, private=private) as stack:
        root_fd = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield from _Comparison(stack, root_fd, prefix).run()
        finally:
            os.close(root_fd)


class _Comparison:
    def __init__(self, stack: Stack, root_fd: int, prefix: str) -> None:
        self._stack = stack
        self._root_fd = root_fd
        self._prefix = prefix

    def run(self) -> Iterator[Change]:
        """Walk depth first, without recursion: a container decides how deep its directories are."""
        below = self._stack.root
        pending = [self._directory(_Directory("", below, () if self._marks("").opaque else below))]
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
                continue
            change, deeper = step
            yield change
            if deeper is not None:
                pending.append(self._directory(deeper))

    def _directory(self, directory: _Directory) -> Iterator[tuple[Change, _Directory | None]]:
        """Yield the changes in one directory, each with the directory to go on with."""
        entries = self._entries(directory.path)
        names = set(entries)
        if directory.now != directory.before:
            names |= self._stack.names(directory.before) | self._stack.names(directory.now)
        for name in sorted(names):
            before = self._stack.lookup(directory.before, name)
            now = self._now(directory, name, entries.get(name))
            # Seen through a redirect, and the same as before; or deleted without having been there.
            if before == now and (now is None or name not in entries):
                continue
            kind = ChangeKind.ADDED if before is None else ChangeKind.DELETED if now is None else ChangeKind.CHANGED
            path = join(directory.path, name)
            deeper = None
            if now is not None and now.is_dir:
                deeper = _Directory(path, before.parts if before and before.is_dir else (), now.parts)
            yield Change(kind, f"/{path}"), deeper

    def _now(self, directory: _Directory, name: str, entry: _Entry | None) -> Found | None:
        """Return what a name is in the container now, its parts those of the layers below; None when it is gone."""
        if entry is None:
            return self._stack.lookup(directory.now, name)
        if entry.is_whiteout:
            return None
        if not entry.is_dir:
            return Found(False, ())
        marks = self._marks(join(directory.path, name))
        if marks.opaque:
            return Found(True, ())
        if marks.redirect:
            return Found(True, self._stack.redirected(directory.now, marks.redirect, after=-1))
        found = self._stack.lookup(directory.now, name)
        return Found(True, found.parts if found and found.is_dir else ())

    def _marks(self, path: str) -> Marks:
        with open_below(self._root_fd, path, _DIRECTORY) as fd:
            return Marks(False, "") if fd is None else read_marks(fd, self._prefix)

    def _entries(self, path: str) -> dict[str, _Entry]:
        entries: dict[str, _Entry] = {}
        with open_below(self._root_fd, path, _DIRECTORY) as fd:
            if fd is None:
                return entries
            with os.scandir(fd) as listing:
                for entry in listing:
                    entries[entry.name] = _entry(entry)
        return entries


def _entry(entry: os.DirEntry[str]) -> _Entry:
    if entry.is_dir(follow_symlinks=False):
        return _Entry(is_dir=True, is_whiteout=False)
    if entry.is_file(follow_symlinks=False) or entry.is_symlink():
        return _Entry(is_dir=False, is_whiteout=False)
    try:
        return _Entry(is_dir=False, is_whiteout=is_whiteout(entry.stat(follow_symlinks=False)))
    except FileNotFoundError:
        return _Entry(is_dir=False, is_whiteout=True)
