"""Layers unpacked while those above them are still on their way: in order, each as soon as its blob is here and whole.

A thread does it beside the transport's own, for the time of one `fetch`. It has the store's connection to itself then:
the command's thread waits for the transport, and ends this one before it goes on (`Arriving.finish`, `stop`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


class Stopped(Exception):
    """Nobody has a use any more for what is being unpacked."""


class Arriving:
    """One image whose layers arrive. ``finish`` and ``stop`` are for the thread that made it, the rest is for any.

    ``unpack(number, report)`` unpacks a layer upon those below it, calls ``report`` now and then, and takes the layer
    back when that raises. ``layers`` are the digests of the blobs, the lowest first.
    """

    def __init__(self, layers: Sequence[str], unpack: Callable[[int, Callable[[], None]], None]) -> None:
        self._layers, self._unpack = layers, unpack
        self._here: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="engine-unpack", daemon=True)
        self._thread.start()

    def arrived(self, *digests: str) -> None:
        """Say that blobs are in the content store, verified."""
        with self._changed:
            self._here.update(digests)
            self._changed.notify()

    def check(self) -> None:
        """Raise what unpacking raised: then the rest need not come."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Wait until every layer is unpacked, the last ones having arrived. Raises what unpacking raised."""
        self.arrived(*self._layers)
        self._thread.join()
        self.check()

    def stop(self) -> None:
        """End the thread: a layer that is half unpacked is taken back, those that are done stay."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        try:
            for number, digest in enumerate(self._layers):
                self._await(digest)
                self._unpack(number, self._report)
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001  # raised again by `check` and `finish`
            self._failure = error

    def _await(self, digest: str) -> None:
        with self._changed:
            while digest not in self._here and not self._stopped:
                self._changed.wait()
        self._report()

    def _report(self) -> None:
        if self._stopped:
            raise Stopped
