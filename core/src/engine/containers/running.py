"""`engine run`: create, start, relay, and see to it that nothing is left of a container that was to be removed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from engine.containers import creating, ending, recover, removal, starting, tracing
from engine.containers.engine import Engine
from engine.metadata.containers import Record
from engine.shim.launch import launch
from engine.spec.options import RunOptions

if TYPE_CHECKING:
    from engine.containers.passing import Passed

STREAMS = ("stdin", "stdout", "stderr")


def run(
    engine: Engine,
    options: RunOptions,
    *,
    detach_keys: bytes,
    created: Callable[[Record], None],
    passed: Passed | None = None,
    streams: Collection[str] = STREAMS,
    forward: bool = True,
) -> int:
    """Create and start a container and stay with it; return the exit status of its process.

    With ``options.detach`` it returns 0 as soon as the process runs. ``created`` is called with the record before it
    starts. ``passed`` says what it gets of the caller's descriptors, ``streams`` which of `STREAMS` are connected, and
    ``forward`` whether signals are passed on. A container that cannot be started is removed with ``--rm``, and kept as
    Docker keeps it without.
    """
    tracing.lap("read the settings, open the store")
    recover.everything(engine)
    tracing.lap("look for what was left")
    shim = launch()
    try:
        starting.expect(engine, shim, options)
        tracing.lap("load the runtime and the log driver")
        record = creating.create(engine, options)
    except BaseException:
        shim.close()
        raise
    try:
        created(record)
        if passed is not None:
            from engine.containers.passing import hand_over

            hand_over(shim, passed)
        starting.start(engine, record, attach=not options.detach, shim=shim, passed=passed)
    except BaseException:
        shim.close()
        if options.rm:
            removal.remove(engine, record.id, force=True)
        raise
    if options.detach:
        shim.close()
        return 0
    stdin = options.interactive and "stdin" in streams
    code = ending.stay(engine, record, shim, stdin=stdin, detach_keys=detach_keys, forward=forward, outputs=streams)
    tracing.lap("stay with the container until it has ended")
    return code
