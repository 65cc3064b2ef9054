"""What this driver asks of systemd, over D-Bus (org.freedesktop.systemd1(5)). The only module that knows dbus-next.

Imported only when there is something to ask: dbus-next and asyncio cost 100 ms. Each call is an errand of its own, in
an event loop of its own: connect, ask, wait for the answer or the signal, disconnect. Nothing is kept between two
calls, so a bus or a systemd that was restarted meanwhile is no trouble.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.errors import AuthError, InvalidAddressError
from dbus_next.message import Message
from dbus_next.signature import Variant

from engine.errors import Conflict, EngineError, Unsupported
from engine_cgroup_systemd.names import NAME
from engine_cgroup_systemd.values import Property

SYSTEMD, MANAGER_PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER, SCOPE = f"{SYSTEMD}.Manager", f"{SYSTEMD}.Scope"
BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"

_UNIX = "unix:path="
_HANDSHAKE = 5.0
"""Seconds for a bus to take a connection and say hello: milliseconds, if it is not just being started."""
_PATIENCE = 3.0
"""Seconds that a unit of the same name has to go away; it takes systemd some milliseconds to see that it is empty."""

T = TypeVar("T")


class Refused(EngineError):
    """systemd answered with an error; ``name`` is the D-Bus name of it."""

    def __init__(self, name: str, text: str, what: str) -> None:
        super().__init__(f"systemd refused to {what}: {text}", plugin=NAME)
        self.name = name


class Systemd:
    """A systemd by its bus address; ``timeout`` in seconds holds for each call as a whole."""

    def __init__(self, where: str, timeout: float) -> None:
        self._address = where
        self._timeout = timeout

    def start_scope(self, unit: str, pid: int, properties: Sequence[Property]) -> None:
        """Make the scope around the process and return when it is there.

        A scope of that name that is still going away is waited for. Raises `Conflict` when it stays, `EngineError` when
        systemd refuses, does not answer, or is not there.
        """
        self._errand(lambda bus: _start_scope(bus, unit, pid, properties), f"make {unit}")

    def set_properties(self, unit: str, properties: Sequence[Property]) -> None:
        """Change properties of a unit that exists, until it ends. Raises `NotFound` and `EngineError`."""
        self._errand(lambda bus: _set_properties(bus, unit, properties), f"change {unit}")

    def properties(self, unit: str, wanted: Sequence[Property]) -> list[Property]:
        """Return the present values of the properties named in ``wanted``. Raises `NotFound` and `EngineError`."""
        return self._errand(lambda bus: _properties(bus, unit, wanted), f"read {unit}")

    def _errand(self, errand: Callable[[MessageBus], Coroutine[Any, Any, T]], what: str) -> T:
        async def whole() -> T:
            try:
                async with asyncio.timeout(self._timeout):
                    bus = await _connect(self._address, min(_HANDSHAKE, self._timeout / 2))
                    try:
                        return await _while_connected(bus, errand(bus))
                    finally:
                        _release(bus)
            except TimeoutError:
                raise EngineError(
                    f"systemd did not {what} within {self._timeout:g} s",
                    fix="Look at it with systemctl list-jobs, or use --cgroup-driver cgroupfs.",
                    plugin=NAME,
                ) from None
            except (EOFError, OSError) as error:
                raise EngineError(
                    f"the D-Bus at {self._address.removeprefix(_UNIX)} went away before systemd could {what}",
                    fix="Look whether dbus runs (systemctl status dbus), then run the command again.",
                    plugin=NAME,
                ) from error

        return _in_own_loop(whole())


async def _connect(where: str, seconds: float) -> MessageBus:
    bus = None
    try:
        _knock(where)
        bus = MessageBus(bus_address=where)
        async with asyncio.timeout(seconds):
            return await bus.connect()
    except (OSError, EOFError, AuthError, InvalidAddressError) as error:
        _release(bus)
        silent = f"it has said nothing for {seconds:g} s"
        raise _no_bus(where, silent if isinstance(error, TimeoutError) else _words(error)) from error
    except asyncio.CancelledError:
        _release(bus)
        raise


async def _while_connected(bus: MessageBus, errand: Coroutine[Any, Any, T]) -> T:
    """Return what the errand returns. Raises `EOFError` or `OSError` as soon as the connection is lost.

    A call that waits for its answer would notice by itself, but not one who waits for a signal.
    """
    end = bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # as in `_release`
    work, lost = asyncio.create_task(errand), asyncio.create_task(end)
    try:
        await asyncio.wait((work, lost), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise EOFError
        return work.result()
    finally:
        for task in (work, lost):
            task.cancel()
        # Their exceptions are looked at, or asyncio would complain of them on standard error.
        await asyncio.gather(work, lost, return_exceptions=True)


def _no_bus(where: str, reason: str) -> EngineError:
    """Return the error for a bus that is not there: on a machine that did not boot with systemd there is none."""
    nobody = f"no D-Bus answers at {where.removeprefix(_UNIX)}: {reason}"
    if os.path.isdir("/run/systemd/system"):
        return EngineError(nobody, fix="Start dbus, or use --cgroup-driver cgroupfs.", plugin=NAME)
    return EngineError(
        f"systemd is not the init of this machine ({nobody})", fix="Use --cgroup-driver cgroupfs.", plugin=NAME
    )


def _words(error: Exception) -> str:
    """Return the reason without an errno, which means nothing to most."""
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


def _knock(where: str) -> None:
    """Raise OSError when nobody listens: dbus-next would keep the socket of a connection that failed."""
    if where.startswith(_UNIX):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
            connection.connect(where.removeprefix(_UNIX))


def _release(bus: MessageBus | None) -> None:
    """Disconnect, and close the socket, which dbus-next 0.2 leaves to the garbage collector."""
    if bus is not None:
        bus.disconnect()  # type: ignore[no-untyped-call]  # dbus-next annotates it by halves
        bus._stream.close()
        bus._sock.close()


async def _start_scope(bus: MessageBus, unit: str, pid: int, properties: Sequence[Property]) -> None:
    jobs, removed = await _listen(bus, "JobRemoved"), await _listen(bus, "UnitRemoved")
    wanted = [*_rows(properties), *_rows([Property("PIDs", "au", [pid], ())])]
    job = await _queue_job(bus, unit, wanted)
    while job is None:
        await _until_gone(bus, unit, removed)
        job = await _queue_job(bus, unit, wanted)
    path, result = "", ""
    while path != job:
        _number, path, _name, result = await jobs.get()
    if result != "done":
        raise EngineError(
            f"systemd could not make {unit}: its job ended as {result!r}",
            fix=f"See journalctl -u {unit}.",
            plugin=NAME,
        )


async def _queue_job(bus: MessageBus, unit: str, wanted: Sequence[Any]) -> str | None:
    """Return the job that makes the unit, or None while one of that name exists."""
    try:
        (job,) = await _call(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", wanted, [])
    except Refused as error:
        if error.name != f"{SYSTEMD}.UnitExists":
            raise
        return None
    return str(job)


async def _until_gone(bus: MessageBus, unit: str, removed: asyncio.Queue[list[Any]]) -> None:
    """Return when the unit that is in the way is gone: the last run's, of whose end systemd is just hearing.

    Raises `Conflict` when it stays.
    """
    try:
        (path,) = await _call(bus, "GetUnit", "s", unit)
        (state,) = await _get(bus, path, f"{SYSTEMD}.Unit", "ActiveState")
        if state.value == "failed":
            await _call(bus, "ResetFailedUnit", "s", unit)
    except Refused:
        # It went between the two calls.
        return
    try:
        async with asyncio.timeout(_PATIENCE):
            while (await removed.get())[0] != unit:
                continue
    except TimeoutError:
        raise Conflict(
            f"{unit} exists already and does not go", fix=f"Stop it with systemctl stop {unit}.", plugin=NAME
        ) from None


async def _set_properties(bus: MessageBus, unit: str, properties: Sequence[Property]) -> None:
    await _call(bus, "SetUnitProperties", "sba(sv)", unit, True, _rows(properties))


async def _properties(bus: MessageBus, unit: str, wanted: Sequence[Property]) -> list[Property]:
    (path,) = await _call(bus, "GetUnit", "s", unit)
    found = []
    for one in wanted:
        (variant,) = await _get(bus, path, SCOPE, one.name)
        found.append(one._replace(signature=variant.signature, value=variant.value))
    return found


async def _listen(bus: MessageBus, member: str) -> asyncio.Queue[list[Any]]:
    """Return a queue that gets the body of every such signal of systemd's manager."""
    queue: asyncio.Queue[list[Any]] = asyncio.Queue()

    def heard(message: Any) -> None:
        if message.message_type is MessageType.SIGNAL and (message.interface, message.member) == (MANAGER, member):
            queue.put_nowait(message.body)

    bus.add_message_handler(heard)
    rule = f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='{member}'"
    await _call(bus, "AddMatch", "s", rule, to=BUS, path=BUS_PATH, interface=BUS)
    if member == "UnitRemoved":
        await _call(bus, "Subscribe", "")
    return queue


async def _get(bus: MessageBus, path: str, interface: str, name: str) -> list[Any]:
    return await _call(bus, "Get", "ss", interface, name, path=path, interface=f"{BUS}.Properties")


async def _call(
    bus: MessageBus,
    member: str,
    signature: str,
    *body: Any,
    to: str = SYSTEMD,
    path: str = MANAGER_PATH,
    interface: str = MANAGER,
) -> list[Any]:
    answer = await bus.call(
        Message(destination=to, path=path, interface=interface, member=member, signature=signature, body=list(body))
    )
    if answer is None:
        raise EngineError("the bus closed the connection", fix="Try again.", plugin=NAME)
    if answer.message_type is MessageType.ERROR:
        raise _refusal(answer.error_name, str(answer.body[0]) if answer.body else answer.error_name, member)
    return list(answer.body)


def _refusal(name: str, text: str, member: str) -> EngineError:
    """Return the error for a person, by the D-Bus name of systemd's answer."""
    short = name.rpartition(".")[2]
    if short in ("ServiceUnknown", "NameHasNoOwner", "NoReply"):
        return EngineError(
            f"systemd is not on the bus: {text}", fix="Boot with systemd, or use --cgroup-driver cgroupfs.", plugin=NAME
        )
    if short in ("UnknownProperty", "PropertyReadOnly", "InvalidArgs") and "property" in text.lower():
        return Unsupported(f"this systemd cannot do it: {text}", fix="Use a newer systemd.", plugin=NAME)
    return Refused(name, text, member)


def _rows(properties: Sequence[Property]) -> list[list[Any]]:
    return [
        [one.name, Variant(one.signature, bytes(one.value) if one.signature == "ay" else one.value)]
        for one in properties
    ]


def _in_own_loop(errand: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in a thread of its own: this one may run an event loop already, and cannot enter another."""
    with ThreadPoolExecutor(max_workers=1) as another:
        return another.submit(asyncio.run, errand).result()
