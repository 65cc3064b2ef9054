"""Several things at a time, in threads that end before this returns. The first failure ends the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed


def each(deeds: Sequence[Callable[[], None]], workers: int, stop: Callable[[], None]) -> None:
    """Do all the deeds, at most ``workers`` at a time. ``stop`` must make those that are being done fail soon.

    Raises what the first one that failed raised, or `KeyboardInterrupt`.
    """
    with ThreadPoolExecutor(workers, "blob") as pool:
        futures = [pool.submit(deed) for deed in deeds]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
