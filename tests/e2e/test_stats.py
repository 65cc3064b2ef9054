"""`stats` and `top`: what they say beside what the kernel says, in a pipe and on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.testing.disks import loop_device
from tests.e2e.box import Box, refused
from tests.e2e.terminal import Terminal

MB = 10**6


def test_stats_once_as_json(box: Box) -> None:
    script = "head -c 20000000 /dev/zero >/full/file; echo full; while :; do :; done"
    with box.container("--tmpfs", "/full", "--memory", "64m", "--pids-limit", "30", script=script) as container:
        container.wait_for_log("full")
        lines = box.done("stats", "--no-stream", "--format", "json", container.name).stdout.splitlines()
        assert len(lines) == 1
        row = json.loads(lines[0])
        assert (row["Name"], container.inspect()["Id"][:12]) == (container.name, row["ID"])
        counters = row["Counters"]
        assert 20 * MB < counters["memory_bytes"] < 64 << 20
        assert (counters["memory_limit_bytes"], counters["pids_limit"], counters["pids"]) == (64 << 20, 30, 1)
        assert 20 < float(row["CPUPerc"].rstrip("%")) < 130, "a loop on one processor"
        assert 29 < float(row["MemPerc"].rstrip("%")) < 100
        assert row["MemUsage"].endswith(" / 67.1MB")
        assert counters["memory_shmem_bytes"] >= 20_000_000, "a file in memory"
        assert counters["memory_anon_bytes"] < 20_000_000
        assert counters["pressure"]["cpu"]["some"]["total"] > 0, "it was started among others"


def test_stats_of_disks_and_links(box: Box, tmp_path: Path) -> None:
    """What is written past the page cache is counted; so is what passes by links of the container's own namespace."""
    write = "dd if=/dev/zero of={} bs=64k count=20 oflag=direct 2>/dev/null; echo written; exec sleep 600"
    with loop_device(tmp_path) as disk:
        limit = ("--device-write-bps", f"{disk}:100mb")  # on v1 a device that nobody limits may not be counted
        with box.container("--device", disk, *limit, script=write.format(disk)) as container:
            container.wait_for_log("written")
            row = json.loads(box.done("stats", "--no-stream", "--format", "json", container.name).stdout)
            assert row["Counters"]["io_write_bytes"] >= 20 << 16
            assert row["BlockIO"].split(" / ")[1] != "0B"
            assert row["NetIO"] == "0B / 0B"
    with box.container("--network", "host") as container:
        shown = box.done("stats", "--no-stream", "--format", "{{.NetIO}}", container.name).stdout
        assert shown == "-- / --\n", "the host's traffic is not the container's"


def test_stats_of_all_that_run_as_a_table_and_by_a_template(box: Box) -> None:
    with box.container() as first, box.container() as second, box.to_be_removed() as made:
        box.done("create", "--name", made, box.image, "true")
        heading, *rows = box.done("stats", "--no-stream").stdout.splitlines()
        assert heading.split("  ")[0] == "CONTAINER ID"
        assert {row.split()[1] for row in rows} == {first.name, second.name}
        assert box.done("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", first.name).stdout == (
            f"{first.name} 1\n"
        )
        idle = box.done("stats", "--no-stream", "--format", "{{.CPUPerc}}", second.name).stdout
        assert float(idle.strip().rstrip("%")) < 20


def test_stats_goes_on_until_the_one_named_has_ended(box: Box) -> None:
    with box.container() as container:
        watching = box.root.popen("stats", "--format", "{{.Name}}", container.name, stdout=-1)
        assert watching.stdout is not None
        assert [watching.stdout.readline() for _ in range(2)] == [f"{container.name}\n"] * 2
        box.done("kill", container.name)
        watching.communicate(timeout=20)
        assert watching.returncode == 0


def test_stats_on_a_terminal_is_drawn_anew_until_ctrl_c(box: Box) -> None:
    with box.container() as container:
        command = box.root.command("stats")
        with Terminal(command, box.root.environment, columns=120) as terminal:
            for _ in range(2):
                terminal.wait_for("\x1b[H")
                terminal.wait_for("CONTAINER ID")
                terminal.wait_for(container.name[:20])
            terminal.type("\x03")
            assert terminal.end() == 130
            assert terminal.attributes() == terminal.before


def test_stats_refuses_what_does_not_run_and_what_is_no_field(box: Box) -> None:
    refused(box("stats", "no-such-container"), "no-such-container")
    with box.container() as container:
        refused(box("stats", "--no-stream", "--format", "{{.Nmae}}", container.name), "there is no field 'Nmae'")
        box.done("kill", container.name)
        container.wait()
        refused(box("stats", "--no-stream", container.name), "is not running")


def test_top_shows_the_processes_as_the_host_has_them(box: Box) -> None:
    script = "sleep 601 & exec sleep 600"
    with box.container("--user", "1234", script=script) as container:
        rows = [json.loads(line) for line in box.done("top", "--format", "json", container.name).stdout.splitlines()]
        commands = {row["PID"]: row["Command"] for row in rows}
        assert sorted(commands.values()) == ["sleep 600", "sleep 601"]
        assert commands[container.pid] == "sleep 600"
        for row in rows:
            assert (
                Path(f"/proc/{row['PID']}/cmdline").read_bytes().replace(b"\0", b" ").decode() == row["Command"] + " "
            )
            assert row["UID"] == 1234
        child = next(row for row in rows if row["Command"] == "sleep 601")
        assert child["PPID"] == container.pid
        heading, *lines = box.done("top", container.name).stdout.splitlines()
        assert heading.split() == ["UID", "PID", "PPID", "ELAPSED", "TTY", "TIME", "COMMAND"]
        assert len(lines) == 2
        assert lines[0].split()[3].startswith("00:0")


def test_top_names_the_terminal_and_works_on_a_paused_container(box: Box) -> None:
    with box.container("--tty") as container:
        box.done("pause", container.name)
        shown = box.done("top", "--format", "{{.TTY}} {{.Command}}", container.name).stdout
        terminal, _, command = shown.strip().partition(" ")
        assert terminal.startswith("pts/")
        assert command == "sleep 600"


@pytest.mark.parametrize("name", ["no-such-container", ""])
def test_top_of_what_is_not_there(name: str, box: Box) -> None:
    refused(box("top", name), "there is no container")


def test_top_of_one_that_has_ended(box: Box) -> None:
    with box.container(script="true") as container:
        container.wait()
        refused(box("top", container.name), "is not running")
