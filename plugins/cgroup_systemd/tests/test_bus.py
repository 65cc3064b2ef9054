"""A bus that is missing, silent or refusing gets a clear error; units that are in the way are waited for."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine_cgroup_systemd.bus import Systemd
from engine_cgroup_systemd.values import Property
from tests.testbed.systemd_machine import SystemdMachine

PROPERTIES = [Property("Description", "s", "a test", ())]

TRY = """
import json, subprocess, sys
from engine.errors import EngineError
from engine_cgroup_systemd.bus import Systemd
from engine_cgroup_systemd.layout import bus_address
from engine_cgroup_systemd.values import Property
unit, properties, pid = json.loads(sys.argv[1])
process = subprocess.Popen(["sleep", "60"])
try:
    rows = [Property(*row) for row in properties]
    Systemd(bus_address(False), 10.0).start_scope(unit, process.pid if pid is None else pid, rows)
    print("made")
except EngineError as error:
    print(type(error).__name__, error, "|", error.fix)
finally:
    process.kill()
    process.wait()
"""


def start(machine: SystemdMachine, unit: str, properties: list[Property], pid: int | None = None) -> str:
    argument = json.dumps([unit, [list(one) for one in properties], pid])
    done = machine.run(["env", "--chdir=/", sys.executable, "-c", TRY, argument])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_bus(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no D-Bus answers at .*missing") as caught:
        Systemd(f"unix:path={tmp_path}/missing", 5.0).start_scope("x.scope", 1, PROPERTIES)
    assert "--cgroup-driver cgroupfs" in caught.value.fix


def test_a_bus_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/bus")
        listener.listen()
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"no D-Bus answers at .*bus: it has said nothing for 0\.3 s"):
            Systemd(f"unix:path={tmp_path}/bus", 0.6).start_scope("x.scope", 1, PROPERTIES)
        assert time.monotonic() - began < 5.0


MUTE = """
import asyncio, sys
from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
async def own():
    bus = await MessageBus(bus_address=sys.argv[1]).connect()
    # Whoever handles a call has to answer it. A job is promised, and everything else is never answered.
    def promise(message):
        if message.member == "StartTransientUnit" and sys.argv[2] == "promises":
            bus.send(message.new_method_return(message, "o", ["/job/1"]))
        if message.member == "StartTransientUnit":
            print("asked", flush=True)
        if message.member == "Subscribe":
            bus.send(message.new_method_return(message))
        return message.message_type is MessageType.METHOD_CALL
    bus.add_message_handler(promise)
    await bus.request_name("org.freedesktop.systemd1")
    print("owned", flush=True)
    await bus.wait_for_disconnect()
asyncio.run(own())
"""


@pytest.mark.parametrize("says", ["nothing", "promises"])
def test_a_bus_that_goes_away_meanwhile(says: str, tmp_path: Path) -> None:
    """It is told at once, and not when the time is over; whoever waits for an answer and whoever for a signal."""
    where = f"unix:path={tmp_path}/bus"
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", f"--address={where}", "--print-address"], stdout=subprocess.PIPE
    )
    mute = None
    try:
        assert daemon.stdout
        daemon.stdout.readline()
        mute = subprocess.Popen([sys.executable, "-c", MUTE, where, says], stdout=subprocess.PIPE, text=True)
        assert mute.stdout
        assert mute.stdout.readline() == "owned\n"
        threading.Thread(target=lambda: (mute.stdout.readline(), time.sleep(0.2), daemon.kill())).start()
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"bus went away before systemd could make x\.scope"):
            Systemd(where, 60.0).start_scope("x.scope", os.getpid(), PROPERTIES)
        assert time.monotonic() - began < 30.0
    finally:
        for process in (daemon, mute):
            if process:
                process.kill()
                process.communicate()


def test_an_event_loop_may_be_running_already(tmp_path: Path) -> None:
    import asyncio

    async def inside() -> None:
        with pytest.raises(EngineError, match="no D-Bus"):
            Systemd(f"unix:path={tmp_path}/missing", 5.0).set_properties("x.scope", PROPERTIES)

    asyncio.run(inside())


def test_a_refusal_is_told_in_systemd_s_words(systemd_machine: SystemdMachine) -> None:
    told = start(systemd_machine, "engine-test-a.scope", [Property("NoSuchProperty", "s", "x", ())])
    assert "NoSuchProperty" in told
    told = start(systemd_machine, "engine-test-b.scope", PROPERTIES, pid=4_000_000)
    assert told.startswith("Refused systemd refused to StartTransientUnit")


def test_a_unit_that_runs_is_in_the_way(systemd_machine: SystemdMachine) -> None:
    unit = "engine-test-c.scope"
    systemd_machine.run(["sh", "-c", f"setsid systemd-run --quiet --scope --unit={unit} sleep 30 >/dev/null 2>&1 &"])
    deadline = time.monotonic() + 10
    while systemd_machine.run(["systemctl", "is-active", unit]).stdout.strip() != "active":
        assert time.monotonic() < deadline
    told = start(systemd_machine, unit, PROPERTIES)
    systemd_machine.run(["systemctl", "stop", unit])
    assert told.startswith("Conflict engine-test-c.scope exists already")


def test_a_scope_whose_process_failed_is_forgotten(systemd_machine: SystemdMachine) -> None:
    """The process is killed at the end of the script: with the default CollectMode a failed unit would stay."""
    unit = "engine-test-d.scope"
    collect = [*PROPERTIES, Property("CollectMode", "s", "inactive-or-failed", ())]
    assert start(systemd_machine, unit, collect) == "made"
    assert start(systemd_machine, unit, collect) == "made", "the name is free again at once"
    if systemd_machine.mode != "v1":
        deadline = time.monotonic() + 10
        while unit in systemd_machine.run(["systemctl", "list-units", "--all", "--plain"]).stdout:
            assert time.monotonic() < deadline
