"""What is to run after a boot, and how everything ends before one: `engine system start` and `engine system stop`.

There is no daemon, so somebody has to say that the machine has booted: a unit of its service manager. The commands do
what dockerd does when it starts and when it ends.
"""

from __future__ import annotations

from engine.containers import listing, recover, resuming, stopping, wanting
from engine.containers.engine import Engine
from engine.containers.listing import View
from engine.containers.stopping import Asked


def due(engine: Engine) -> list[str]:
    """Return the names of the containers that do not run and are to, the oldest first.

    With ``always`` that is every one that ever ran, also when it was stopped by hand; with ``unless-stopped`` those
    that nobody has asked to end.
    """
    recover.everything(engine)
    views = listing.listing(engine, everything=True)
    return [view.record.name for view in reversed(views) if _is_due(engine, view)]


def _is_due(engine: Engine, view: View) -> bool:
    if view.status.running or not view.record.started:
        return False
    name = view.options.restart.name
    if name == "unless-stopped":
        return wanting.policy(engine.layout, view.record.id) is not None
    return name == "always"


def ask_all(engine: Engine) -> list[Asked]:
    """Ask every container to end, as `engine stop` would each; return what `stopping.await_end` waits for.

    All of them are asked at once, and stay wanted: `due` has them after the boot.
    """
    asked = []
    for view in listing.listing(engine):
        how = resuming.how_to_stop(engine, view.record.id, number=None, seconds=None)
        asked.append(stopping.ask_to_end(engine, view.record, number=how.number, timeout=how.seconds))
    return asked
