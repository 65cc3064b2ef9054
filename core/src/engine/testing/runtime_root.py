"""Checks of what a container sees: its root, its mounts, its devices, and that a hostile image leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import EngineError, InvalidInput
from engine.testing.runtime_support import Box, make_spec, with_linux, with_process

_MARK = "seen"


class RootChecks:
    """`engine.spec.runtime`: root, mounts, linux.devices, maskedPaths, readonlyPaths."""

    def test_root_is_the_rootfs_and_nothing_else(self, box: Box) -> None:
        """The root is the rootfs; nothing leads out of it."""
        (box.tree / "mark").write_text(_MARK)
        assert box.sh("cat /mark").stdout == _MARK
        outside = box.sh(f"ls {box.bundle}; ls /proc/1/root/../..{box.bundle}; cd ../../..; ls .{box.bundle}")
        assert outside.stdout == ""

    def test_mounts_of_the_host_are_out_of_sight(self, box: Box) -> None:
        """No mount of the host is left in the container's mount namespace."""
        points = [line.split()[4] for line in box.sh("cat /proc/self/mountinfo").stdout.splitlines()]
        assert points[0] == "/" or "/" in points
        assert not [point for point in points if point.split("/")[1] not in {"", "proc", "dev", "sys"}]

    def test_mounts_are_made_in_order_with_their_options(self, box: Box) -> None:
        """Mounts are made in order, each with its attributes and its filesystem's options."""
        spec = make_spec("sh", "-c", "cat /proc/self/mountinfo; ls -d /data/inner")
        spec["mounts"] += [
            {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=64k"]},
            {"destination": "/data/inner", "type": "tmpfs", "source": "tmpfs", "options": ["noexec", "ro", "mode=700"]},
        ]
        *lines, inner = box.run(spec).stdout.splitlines()
        assert inner == "/data/inner"
        rows = {line.split()[4]: line for line in lines}
        assert {"rw", "nosuid", "nodev"} <= set(rows["/data"].split()[5].split(","))
        assert "size=64k" in rows["/data"]
        assert {"ro", "noexec"} <= set(rows["/data/inner"].split()[5].split(","))
        assert "mode=700" in rows["/data/inner"]

    def test_proc_shows_the_containers_processes(self, box: Box) -> None:
        """The proc filesystem is the one of the container's pid namespace."""
        assert box.sh("set -- /proc/[0-9]*; read name < /proc/1/comm; echo $* $name").stdout == "/proc/1 sh\n"

    def test_bind_mount_is_the_hosts_directory(self, box: Box) -> None:
        """A bind mount is the host's directory itself, writable."""
        source = box.bundle / "volume"
        source.mkdir()
        (source / "mark").write_text(_MARK)
        spec = make_spec("sh", "-c", "cat /vol/mark; echo new > /vol/new")
        spec["mounts"].append({"destination": "/vol", "type": "bind", "source": str(source), "options": ["rbind"]})
        assert box.run(spec).stdout == _MARK
        assert (source / "new").read_text() == "new\n"

    def test_bind_mount_of_a_file(self, box: Box) -> None:
        """A file can be bound; its place is made, directories included."""
        source = box.bundle / "file"
        source.write_text(_MARK)
        spec = make_spec("cat", "/etc/deep/file")
        spec["mounts"].append(
            {"destination": "/etc/deep/file", "type": "bind", "source": str(source), "options": ["bind"]}
        )
        assert box.run(spec).stdout == _MARK

    def test_read_only_bind_mount(self, box: Box) -> None:
        """A read-only bind mount cannot be written."""
        source = box.bundle / "volume"
        source.mkdir()
        spec = make_spec("sh", "-c", "touch /vol/new; test ! -e /vol/new")
        spec["mounts"].append(
            {"destination": "/vol", "type": "bind", "source": str(source), "options": ["rbind", "ro"]}
        )
        assert box.run(spec).status == 0
        assert not list(source.iterdir())

    def test_missing_source_is_named_before_anything_starts(self, box: Box) -> None:
        """A bind mount's missing source is named in the error."""
        spec = make_spec("true")
        spec["mounts"].append(
            {"destination": "/vol", "type": "bind", "source": "/no/such/source", "options": ["rbind"]}
        )
        with pytest.raises(EngineError, match="/no/such/source"):
            box.run(spec)

    def test_link_in_the_image_does_not_lead_a_mount_outside(self, box: Box) -> None:
        """A link of the image is followed inside of the root, and never outside."""
        target, source = box.bundle / "outside", box.bundle / "volume"
        target.mkdir()
        source.mkdir()
        (source / "mark").write_text(_MARK)
        (box.tree / "vol").symlink_to(target)
        (box.tree / "up").symlink_to("../../../../../../../../.." + str(target))
        spec = make_spec("sh", "-c", f"cat {target}/mark")
        for destination in ("/vol", "/up/deeper"):
            spec["mounts"].append(
                {"destination": destination, "type": "bind", "source": str(source), "options": ["rbind"]}
            )
        output = box.run(spec)
        assert output.stdout == _MARK, "the link was not followed inside of the root"
        assert not list(target.iterdir()), "something was made outside of the root"

    def test_link_in_place_of_a_system_directory_is_refused(self, box: Box) -> None:
        """A link in the place of /proc, /dev or /sys is refused."""
        for place in ("proc", "dev", "sys"):
            (box.tree / place).symlink_to("etc")
            with pytest.raises(EngineError, match=f"/{place}"):
                box.run(make_spec("true"))
            (box.tree / place).unlink()

    def test_mount_inside_proc_is_refused(self, box: Box) -> None:
        """Nothing can be mounted inside of /proc."""
        spec = make_spec("true")
        spec["mounts"].append({"destination": "/proc/sys", "type": "tmpfs", "source": "tmpfs", "options": []})
        with pytest.raises(EngineError, match="/proc"):
            box.run(spec)

    def test_read_only_root(self, box: Box) -> None:
        """A read-only root cannot be written, the mounts on it can."""
        spec = make_spec("sh", "-c", "touch /new; test ! -e /new && touch /dev/new")
        spec["root"]["readonly"] = True
        assert box.run(spec).status == 0
        assert not (box.tree / "new").exists()

    def test_masked_paths_are_empty(self, box: Box) -> None:
        """Masked files and directories are empty; missing ones do no harm."""
        (box.tree / "secret").write_text(_MARK)
        (box.tree / "secrets").mkdir()
        (box.tree / "secrets/one").write_text(_MARK)
        spec = with_linux(
            make_spec("sh", "-c", "cat /secret; ls /secrets; touch /secrets/x; ls /secrets"),
            maskedPaths=["/secret", "/secrets", "/missing"],
        )
        assert box.run(spec).stdout == ""

    def test_read_only_paths_cannot_be_written(self, box: Box) -> None:
        """Read-only paths cannot be written; missing ones do no harm."""
        (box.tree / "fixed").mkdir()
        spec = with_linux(make_spec("sh", "-c", "touch /fixed/x; ls /fixed"), readonlyPaths=["/fixed", "/missing"])
        assert box.run(spec).stdout == ""

    def test_default_devices_work(self, box: Box) -> None:
        """The default devices are there and work."""
        script = "echo x > /dev/null && head -c 2 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c"
        assert box.sh(script).stdout == "2\n3\n"
        listed = box.sh("for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done").stdout
        assert listed == (
            "/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n/dev/random 1:8 666\n/dev/urandom 1:9 666\n"
            "/dev/tty 5:0 666\n"
        )

    def test_device_links(self, box: Box) -> None:
        """The links of /dev are there, and /dev/stdout can be opened."""
        script = "for d in fd stdin stdout stderr ptmx; do readlink /dev/$d; done; echo out > /dev/stdout"
        assert box.sh(script).stdout == (
            "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\nout\n"
        )

    def test_requested_device_is_there(self, box: Box) -> None:
        """A requested device has its numbers, permissions and owner, in a directory that was made."""
        node = {"path": "/dev/deep/mem", "type": "c", "major": 1, "minor": 1, "fileMode": 0o640, "uid": 5, "gid": 6}
        spec = with_linux(make_spec("stat", "-c", "%F %t:%T %a %u:%g", "/dev/deep/mem"), devices=[node])
        assert box.run(spec).stdout == "character special file 1:1 640 5:6\n"

    def test_sysctl_of_an_own_namespace_is_set(self, box: Box) -> None:
        """A kernel parameter of the container's own namespaces is set."""
        spec = with_linux(
            make_spec("cat", "/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/kernel/msgmax"),
            sysctl={"net.ipv4.ip_default_ttl": "77", "kernel.msgmax": "4321"},
        )
        assert box.run(spec).stdout == "77\n4321\n"

    def test_sysctl_of_the_machine_is_refused(self, box: Box) -> None:
        """A kernel parameter of the whole machine is refused, and not changed."""
        before = Path("/proc/sys/vm/swappiness").read_text(encoding="ascii")
        with pytest.raises(EngineError, match="swappiness"):
            box.run(with_linux(make_spec("true"), sysctl={"vm.swappiness": "1"}))
        assert Path("/proc/sys/vm/swappiness").read_text(encoding="ascii") == before

    def test_working_directory_is_made_and_entered(self, box: Box) -> None:
        """The working directory is made where it is missing, and entered."""
        assert box.sh("pwd", cwd="/srv/app/data").stdout == "/srv/app/data\n"

    def test_working_directory_cannot_be_a_descriptor_of_the_host(self, box: Box) -> None:
        """A working directory cannot be reached through a descriptor that the runtime has open."""
        for number in range(3, 12):
            spec = with_process(make_spec("sh", "-c", "ls; ls ../.."), cwd=f"/proc/self/fd/{number}")
            with pytest.raises(EngineError, match=f"/proc/self/fd/{number}"):
                box.run(spec)

    def test_mount_over_the_root_is_refused(self, box: Box) -> None:
        """Nothing can be mounted over the container's root."""
        spec = make_spec("true")
        spec["mounts"].append({"destination": "/", "type": "tmpfs", "source": "tmpfs", "options": []})
        with pytest.raises(InvalidInput):
            box.task(spec)
